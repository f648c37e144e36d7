package main

import (
	"context"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// supervisor is systemd, or another one that sets NOTIFY_SOCKET. Without one nothing is told to anybody.
type supervisor struct {
	log    zerolog.Logger
	notify func(state string) error
}

func newSupervisor(log zerolog.Logger) *supervisor {
	return &supervisor{log, func(state string) error {
		_, err := systemd.SdNotify(false, state)
		return err
	}}
}

// afterDrain is what a stop may take when PUSHGLUE_DRAIN is over: Redis is given a few seconds for each step, some of them one after the
// other.
const afterDrain = 50 * time.Second

func (s *supervisor) ready() { s.tell(systemd.SdNotifyReady) }

// stopping also asks for the time that the stop may take, so that no unit has to know PUSHGLUE_DRAIN.
func (s *supervisor) stopping(drain time.Duration) {
	s.tell(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", systemd.SdNotifyStopping, (drain + afterDrain).Microseconds()))
}

func (s *supervisor) tell(state string) {
	if err := s.notify(state); err != nil {
		s.log.Warn().Err(err).Str("state", state).Msg("cannot tell the supervisor")
	}
}

// feed starts to feed the supervisor's watchdog, if there is one (WATCHDOG_USEC), until the returned function is called.
func (s *supervisor) feed(alive func()) (stop func()) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn().Err(err).Msg("the supervisor's watchdog gets nothing")
	}
	ctx, stop := context.WithCancel(context.Background())
	if interval > 0 {
		go s.feedEvery(ctx, interval/3, alive)
	}
	return stop
}

// feedEvery tells the watchdog that the daemon lives, each time that alive has returned.
func (s *supervisor) feedEvery(ctx context.Context, interval time.Duration, alive func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		alive()
		s.tell(systemd.SdNotifyWatchdog)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
