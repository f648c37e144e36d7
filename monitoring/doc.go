// Package monitoring holds no code but tests of what an operator watches pushglue with: prometheus/ has alert rules, grafana/ a dashboard.
//
// rules_test.yml shows each rule firing and silent, by numbers that are written there. Here the numbers are real: a test runs the daemon with Redis
// and push hosts, scrapes it as Prometheus does, breaks something, and gives promtool what it has scraped (recording_test.go). A scrape
// stands for the 15 s between two of Prometheus's, so that ten minutes pass in a second.
package monitoring
