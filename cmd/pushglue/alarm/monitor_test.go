package alarm_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/alarm"
	"pushglue/glue"
)

func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		ledger := new(glue.Ledger)
		begin := time.Now()
		m := alarm.Monitor{Ledger: ledger, Failures: 10, Window: time.Minute, Log: zerolog.Nop(), Tell: func(a alarm.Alert) {
			told = append(told, fmt.Sprintf("%s %s %d after %s", a.Feed, a.State, a.Failures, a.Time.Sub(begin)))
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		fail := func(feed string, cancelled, stalled int64) {
			ledger.AddFeed(glue.FeedSums{Name: feed, Claimed: 1000, Finished: 900, Cancelled: cancelled, Stalled: stalled})
		}
		time.Sleep(time.Second)
		fail("a", 5, 4)
		fail("b", 9, 0)
		time.Sleep(70 * time.Second) // after which those are out of the window
		fail("a", 9, 0)
		time.Sleep(30 * time.Second)
		fail("a", 0, 1) // the tenth in a minute
		time.Sleep(10 * time.Second)
		fail("a", 4, 0) // no news
		time.Sleep(5*time.Minute + time.Second)
		fail("b", 10, 0)
		time.Sleep(10 * time.Second)
		cancel()
		<-done
		want := []string{"a failing 10 after 1m42s", "a over 4 after 2m42s", "b failing 10 after 6m54s"}
		if !slices.Equal(told, want) {
			t.Errorf("got %q\nwant %q", told, want)
		}
	})
}
