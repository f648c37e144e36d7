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
