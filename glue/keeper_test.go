package glue_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// keptFeed is a feed that has to be looked after.
type keptFeed struct {
	*gluetest.Feed
	keep func(ctx context.Context, report func(glue.Kept, error))
}

func (f keptFeed) Keep(ctx context.Context, report func(glue.Kept, error)) { f.keep(ctx, report) }

func runKept(t *testing.T, f keptFeed, c glue.Config, publisher glue.Publisher) (stop context.CancelFunc, done chan error) {
	t.Helper()
	c.Feeds, c.Pipelines = []glue.Feed{f}, []glue.Pipeline{{Name: "p", Feed: "f", Publisher: publisher}}
	g, err := glue.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return stop, done
}

// TestAFeedIsKeptUntilAllIsFlushed has a publisher that takes its time when the engine is told to stop, and then to
// be flushed.
func TestAFeedIsKeptUntilAllIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := keptFeed{Feed: gluetest.NewFeed("f")}
		rounds, flushed := 0, false
		feed.keep = func(ctx context.Context, report func(glue.Kept, error)) {
			for glue.Sleep(ctx, time.Second) {
				rounds++
				report(glue.Kept{}, nil)
			}
			if !flushed {
				t.Error("the keeper ended before the publishers were flushed")
			}
		}
		flush := func(context.Context) {
			if n := feed.State().Claimed; n != 0 {
				t.Errorf("flushed while %d jobs were claimed", n)
			}
			time.Sleep(3 * time.Second)
			flushed = true
		}
		var pub gluetest.Publisher
		pub.Outcome = func(context.Context, *glue.Message) error { time.Sleep(5500 * time.Millisecond); return nil }
		stop, done := runKept(t, feed, glue.Config{Log: zerolog.Nop(), Flush: flush}, &pub)
		feed.Put("a", []byte("body"))
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		equal(t, "finished", feed.State().Finished, []string{"a"})
		if rounds != 8 {
			t.Errorf("%d rounds while the engine drained, want 8", rounds)
		}
	})
}

func TestWhatAKeeperDoesIsLogged(t *testing.T) {
	away := errors.New("connection refused")
	for name, test := range map[string]struct {
		reports []glue.Kept // one without a role that is known is an error
		want    []string
	}{
		"nothing": {[]glue.Kept{{}, {}}, nil},
		"all": {[]glue.Kept{{Ended: 1, TakenBack: 2, Reaped: 3, Others: 4, Recovered: 5}}, []string{
			`"warn","feed":"f","jobs":1,"message":"claims of this daemon were ended by others, so these jobs may be published twice"`,
			`"warn","feed":"f","jobs":2,"message":"jobs of the daemon that was active before are back on the feed, in order"`,
			`"warn","feed":"f","jobs":3,"message":"claims of dead daemons ended; their jobs are back on the feed, in order"`,
			`"warn","feed":"f","jobs":4,"message":"claims of dead workers ended; their jobs are back on the feed"`,
			`"warn","feed":"f","jobs":5,"message":"jobs that a dead worker had lost are back on the feed"`,
		}},
		"an outage": {[]glue.Kept{{Role: 99}, {Role: 99}, {}, {}}, []string{
			`"error","feed":"f","error":"connection refused","message":"cannot look after the feed; trying again until it works"`,
			`"info","feed":"f","message":"looking after the feed again"`,
		}},
		"roles": {[]glue.Kept{{Role: glue.Standby}, {Role: glue.Standby}, {Role: glue.Active}, {Role: glue.Active}, {Role: glue.Standby}}, []string{
			`"info","feed":"f","message":"another daemon is the active one; this one stands by"`,
			`"info","feed":"f","message":"this daemon is the active one"`,
			`"warn","feed":"f","message":"another daemon is the active one now: this one was away for too long; it stands by"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			reported := make(chan struct{})
			feed := keptFeed{Feed: gluetest.NewFeed("f")}
			feed.keep = func(ctx context.Context, report func(glue.Kept, error)) {
				for _, kept := range test.reports {
					if kept.Role == 99 {
						report(glue.Kept{}, away)
						continue
					}
					report(kept, nil)
				}
				close(reported)
				<-ctx.Done()
			}
			var log bytes.Buffer
			stop, done := runKept(t, feed, glue.Config{Log: zerolog.New(zerolog.SyncWriter(&log))}, new(gluetest.Publisher))
			<-reported
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			var want strings.Builder
			for _, line := range test.want {
				want.WriteString(`{"level":` + line + "}\n")
			}
			if log.String() != want.String() {
				t.Errorf("the log is\n%swant\n%s", log.String(), want.String())
			}
		})
	}
}
