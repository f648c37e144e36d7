package thoonk_test

import (
	"bytes"
	"testing"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

const benchBatch = 256

// Each operation of these benchmarks is one batch of 256 jobs of 300 bytes.

func BenchmarkPut(b *testing.B) {
	feed := benchFeed(b)
	payloads := benchPayloads()
	for b.Loop() {
		benchPut(b, feed, payloads)
	}
	perJob(b)
}

func BenchmarkClaim(b *testing.B) {
	feed := benchFeed(b)
	payloads := benchPayloads()
	for b.Loop() {
		b.StopTimer()
		benchPut(b, feed, payloads)
		b.StartTimer()
		benchClaim(b, feed)
	}
	perJob(b)
}

func BenchmarkSettle(b *testing.B) {
	feed := benchFeed(b)
	payloads := benchPayloads()
	settlements := make([]glue.Settlement, benchBatch)
	for b.Loop() {
		b.StopTimer()
		benchPut(b, feed, payloads)
		for i, job := range benchClaim(b, feed) {
			settlements[i] = glue.Settlement{JobID: job.ID, Verdict: glue.Finish}
		}
		b.StartTimer()
		if err := feed.Settle(b.Context(), settlements); err != nil {
			b.Fatal(err)
		}
	}
	perJob(b)
}

// BenchmarkOperator runs the scripts of an operator and of maintenance, each on a batch of jobs that are in the state it
// is for.
func BenchmarkOperator(b *testing.B) {
	for _, script := range []struct {
		name    string
		stalled bool // else claimed
		run     func(f *thoonk.Feed, ids []string) (int, error)
	}{
		{"extend", false, func(f *thoonk.Feed, ids []string) (int, error) {
			ended, err := f.Extend(b.Context())
			return len(ids) - ended, err
		}},
		{"reap", false, func(f *thoonk.Feed, _ []string) (int, error) {
			reaped, err := f.Reap(b.Context(), thoonk.AnyAge, 0)
			return reaped.Own, err
		}},
		{"cancel", false, func(f *thoonk.Feed, ids []string) (int, error) { return count(f.Cancel(b.Context(), ids...)) }},
		{"older", false, func(f *thoonk.Feed, _ []string) (int, error) {
			return count(f.Older(b.Context(), thoonk.Claimed, 0, benchBatch))
		}},
		{"retract", false, func(f *thoonk.Feed, ids []string) (int, error) { return count(f.Retract(b.Context(), ids...)) }},
		{"retry", true, func(f *thoonk.Feed, ids []string) (int, error) { return count(f.Retry(b.Context(), ids...)) }},
	} {
		b.Run(script.name, func(b *testing.B) {
			feed := benchFeed(b)
			payloads := benchPayloads()
			for b.Loop() {
				b.StopTimer()
				ids := benchState(b, feed, payloads, script.stalled)
				b.StartTimer()
				if n, err := script.run(feed, ids); err != nil || n != len(ids) {
					b.Fatalf("%d of %d jobs, %v", n, len(ids), err)
				}
				b.StopTimer()
				if _, err := feed.Retract(b.Context(), ids...); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			perJob(b)
		})
	}
}

func count(ids []string, err error) (int, error) { return len(ids), err }

// benchState puts a batch of jobs and takes them to a state.
func benchState(b *testing.B, feed *thoonk.Feed, payloads [][]byte, stalled bool) []string {
	benchPut(b, feed, payloads)
	var ids []string
	var settlements []glue.Settlement
	for _, job := range benchClaim(b, feed) {
		ids = append(ids, job.ID)
		settlements = append(settlements, glue.Settlement{JobID: job.ID, Verdict: glue.Stall})
	}
	if stalled {
		if err := feed.Settle(b.Context(), settlements); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func benchFeed(b *testing.B) *thoonk.Feed {
	feed, err := thoonk.NewFeed(service.StartRedis(b).Client(b), "bench", thoonk.ThoonkPy)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return feed
}

func benchPayloads() [][]byte {
	payloads := make([][]byte, benchBatch)
	for i := range payloads {
		payloads[i] = bytes.Repeat([]byte("x"), 300)
	}
	return payloads
}

func benchPut(b *testing.B, feed *thoonk.Feed, payloads [][]byte) {
	if _, err := feed.Put(b.Context(), payloads, thoonk.PutOptions{}); err != nil {
		b.Fatal(err)
	}
}

func benchClaim(b *testing.B, feed *thoonk.Feed) []glue.Job {
	jobs, err := feed.Claim(b.Context(), benchBatch)
	if err != nil || len(jobs) != benchBatch {
		b.Fatalf("claimed %d jobs, %v", len(jobs), err)
	}
	return jobs
}

func perJob(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch, "ns/job")
}
