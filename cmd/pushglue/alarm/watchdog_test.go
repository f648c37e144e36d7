package alarm_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/alarm"
	"pushglue/glue"
)

func TestWatchdog(t *testing.T) {
	for name, test := range map[string]struct {
		work  func(since time.Duration) []*glue.Work
		bites time.Duration // after which; 0 for never
	}{
		"nothing to do": {func(time.Duration) []*glue.Work { return nil }, 0},
		"one hangs":     {always(&glue.Work{Feed: "f", Part: "publish"}), 11 * time.Second},
		"each is short": {func(time.Duration) []*glue.Work { return []*glue.Work{{Feed: "f", Part: "publish"}} }, 0},
		"one hangs among others": {func() func(time.Duration) []*glue.Work {
			hangs := &glue.Work{Feed: "f", Part: "transform"}
			return func(since time.Duration) []*glue.Work {
				if since < 20*time.Second {
					return []*glue.Work{{}}
				}
				return []*glue.Work{{}, hangs}
			}
		}(), 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var bitten time.Duration
				var log bytes.Buffer
				dog := alarm.Watchdog{
					Patience: 10 * time.Second, Work: func() []*glue.Work { return test.work(time.Since(begin)) }, Log: zerolog.New(&log),
					Bite: func() { bitten = time.Since(begin) },
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				dog.Run(ctx)
				if bitten != test.bites {
					t.Errorf("it bit after %s, want %s", bitten, test.bites)
				}
				if said := strings.Contains(log.String(), `"feed":"f","part":`); said != (bitten > 0) {
					t.Errorf("the log is %s", &log)
				}
			})
		})
	}
}

func always(w *glue.Work) func(time.Duration) []*glue.Work {
	return func(time.Duration) []*glue.Work { return []*glue.Work{w} }
}
