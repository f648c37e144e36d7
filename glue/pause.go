package glue

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// newPause returns the intervals between attempts: 100 ms to 5 s, with jitter.
func newPause() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 100 * time.Millisecond
	pause.MaxInterval = 5 * time.Second
	pause.Reset()
	return pause
}

// Sleep waits for d and reports whether it did: false when ctx was done first.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
