package main

import (
	"context"
	"io"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/alarm"
	"pushglue/glue"
)

// sentryPatience is how long the end of the daemon waits for what Sentry has not got yet.
const sentryPatience = 2 * time.Second

// sentry returns the client of the settings; nil without a DSN.
func (c *config) sentry() (*alarm.Sentry, error) {
	if c.SentryDSN == "" {
		return nil, nil
	}
	return alarm.NewSentry(alarm.SentryConfig{DSN: c.SentryDSN, Environment: c.SentryEnvironment, Release: version, Sample: c.SentrySample})
}

// daemonLogger returns the daemon's logger, whose lines go to others too, and its errors to Sentry, and what waits until they are there.
func (c *config) daemonLogger(w io.Writer, others ...io.Writer) (log zerolog.Logger, flush func(), err error) {
	sentry, err := c.sentry()
	if err != nil || sentry == nil {
		return c.logger(w, others...), func() {}, err
	}
	return c.logger(w, append(others, sentry)...), func() { sentry.Flush(sentryPatience) }, nil
}

// watch starts the watchdog, which calls exit when something hangs, and the monitor of failures, until end is called.
func watch(c config, g *glue.Glue, ledger *glue.Ledger, log zerolog.Logger, dump io.Writer, flush func(), exit func(code int)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	if c.Watchdog > 0 {
		dog := alarm.Watchdog{Patience: c.Watchdog, Work: g.Work, Log: log, Bite: func() { show(dump); flush(); exit(exitError) }}
		working.Go(func() { dog.Run(ctx) })
	}
	if c.AlertFailures > 0 {
		monitor := alarm.Monitor{Ledger: ledger, Failures: int64(c.AlertFailures), Window: c.AlertWindow, Log: log, Tell: func(alarm.Alert) {}}
		if c.AlertWebhook != "" {
			hook := alarm.NewWebhook(c.AlertWebhook, log)
			monitor.Tell = hook.Tell
			working.Go(func() { hook.Run(ctx) })
		}
		working.Go(func() { monitor.Run(ctx) })
	}
	return func() {
		cancel()
		working.Wait()
	}
}

// show shows what every goroutine does, which names functions and never payload.
func show(dump io.Writer) {
	if err := pprof.Lookup("goroutine").WriteTo(dump, 2); err != nil {
		_, _ = io.WriteString(dump, err.Error()) // the process ends all the same
	}
}
