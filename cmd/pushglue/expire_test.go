package main

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/service"
)

// TestExpire has a daemon find a job that was put now and one that was put an hour ago.
func TestExpire(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, "pipelines: [{name: p, feed: f, stages: [json, expire: {after: 10m}], publish: {file: {path: out.jsonl}}}]\n")
	feed := putOn(t, store, `{"id":"young"}`, `{"id":"old"}`)
	rdb := store.Client(t)
	ids := queued(t, store)
	now, err := rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	put := redis.Z{Member: ids[0], Score: float64(now.Add(-time.Hour).UnixMilli())}
	if err := rdb.ZAdd(t.Context(), "feed.published:f", put).Err(); err != nil {
		t.Fatal(err)
	}
	daemon := startDaemon(t, "REDIS_URL="+store.URL())
	eventually(t, "both are finished", func() bool {
		counts, err := feed.Counts(t.Context())
		return err == nil && counts.Finished == 2
	})
	daemon.Stop()
	if got := occurrences(t, "out.jsonl"); len(got) != 1 || got[`{"id":"young"}`+"\n"] != 1 {
		t.Errorf("the file has %v", got)
	}
}
