// Package metrics shows the ledger, the push hosts and the feeds to Prometheus and statsd, and holds them against each other.
//
// What the daemon counts itself is read when somebody asks. What others have to be asked for, Redis and the push hosts, a Sampler
// asks for at intervals, so that a scrape waits for nobody (sampler.go). After each interval it compares what they have counted with the
// ledger (reconcile.go).
package metrics
