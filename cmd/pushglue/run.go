package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/bench"
	"pushglue/cmd/pushglue/live"
	"pushglue/glue"
	"pushglue/glue/metrics"
	"pushglue/glue/thoonk"
)

// settingsHeading stands before the settings in the help of run. The manual lists them in a section of their own.
const settingsHeading = "\nSettings from the environment:\n"

func newRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Claims jobs, transforms and publishes them until it is told to stop.

SIGTERM or SIGINT  stops claiming, finishes what is claimed, gives the rest back, and exits with 0;
                   a second one gives back at once and exits with 1
SIGHUP             reopens the files that pipelines write to
` + settingsHeading + settingsHelp(),
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return daemon(c, nil) },
	}
}

// gcPercent is how much garbage the daemon makes before it collects, in percent of what it holds. It holds some 15 MiB, most of it
// what was published of late, and makes a few hundred a second: Go's default of 100 would collect twice as often.
const gcPercent = 200

// connectTimeout bounds the first contact with Redis.
const connectTimeout = 5 * time.Second

// daemon runs the daemon. A meter may look on; nil for none.
func daemon(cmd *cobra.Command, meter *bench.Meter) error {
	ctx := cmd.Context()
	c, err := readConfig()
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	lines := new(live.Log)
	log, flush, err := c.daemonLogger(cmd.ErrOrStderr(), lines)
	if err != nil {
		return err
	}
	defer flush()
	for _, name := range unknownVariables() {
		log.Warn().Str("variable", name).Msg("this is no setting; see pushglue run --help")
	}

	// What goes where.
	ledger := new(glue.Ledger)
	w, err := newWiring(c, ledger, log)
	defer w.close()
	if err != nil {
		return err
	}

	if err := checkFiles(w); err != nil {
		return err
	}

	// Redis.
	rdb, err := connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer rdb.Close()
	w.remember(rdb)
	feeds, err := openFeeds(rdb, c, w.feeds())
	if err != nil {
		return err
	}

	// Who looks on.
	watched := asFeeds(feeds)
	counting := live.Count(w.pipelines, c.Traffic)
	if meter != nil {
		meter.Watch(watched, w.pipelines) // in whose place it puts its own
	}

	// The engine.
	traces, endTraces, err := newTraces(c, log)
	if err != nil {
		return err
	}
	defer endTraces()
	g, err := glue.New(glue.Config{
		Feeds: watched, Pipelines: w.pipelines, Ledger: ledger, Traces: traces, Log: log,
		Batch: c.Batch, InFlight: c.InFlight, Attempts: c.Attempts, RetryBudget: c.RetryBudget, Drain: c.Drain,
		Flush: w.flush,
	})
	if err != nil {
		return err
	}

	// The push hosts, which may come and go.
	unfollow, err := w.followHosts(ctx)
	if err != nil {
		return err
	}
	defer unfollow()

	// What is measured and shown, and the daemon's own HTTP.
	numbers := measure(c, metrics.Sources{Ledger: ledger, Feeds: feeds, Hosts: w.push}, log)
	defer numbers.end()
	panel := live.New(live.Config{
		Version: version, Ledger: ledger, Feeds: feeds, Pipelines: w.pipelines, Hosts: w.push, Sampler: numbers.sampler, Log: lines,
		Changes: c.HTTPToken != "", Counting: counting, Channel: c.TrafficChannel, Stream: c.trafficStream(),
	})
	server, err := serve(c.HTTPAddr, answers{
		own: hostOf(c.HTTPAddr), token: c.HTTPToken, ledger: ledger, traces: traces, feeds: feeds, hosts: w.push, numbers: numbers, panel: panel, log: log,
	}.handler(), log)
	if err != nil {
		return err
	}
	defer server.close()

	// Signals.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(signals)
	supervisor := newSupervisor(log)
	go handleSignals(signals, log, func() { supervisor.stopping(c.Drain); numbers.stopping.Store(true); stop() }, g.Abort, w.reopenFiles)

	log.Info().Str("version", version).Strs("feeds", w.feeds()).Int("pipelines", len(w.pipelines)).Msg("running")
	supervisor.ready()
	go panel.Run(ctx)
	defer supervisor.feed(g.Alive)()
	defer watch(c, g, ledger, log, cmd.ErrOrStderr(), flush, os.Exit)()
	err = g.Run(ctx)
	err = errors.Join(err, w.reopenFiles())
	sums := ledger.Sums()
	log.Info().Interface("ledger", sums).Msg("stopped")
	return errors.Join(err, sums.Balance())
}

// signalGrace is how soon after the first signal a second one is the same: some supervisors
// signal a process and then its group.
const signalGrace = 500 * time.Millisecond

// handleSignals stops at the first signal and aborts at the second.
func handleSignals(signals <-chan os.Signal, log zerolog.Logger, stop, abort func(), reopen func() error) {
	var stopping time.Time
	for s := range signals {
		switch {
		case s == syscall.SIGHUP:
			if err := reopen(); err != nil {
				log.Error().Err(err).Msg("cannot reopen a file")
				continue
			}
			log.Info().Msg("files will be reopened")
		case stopping.IsZero():
			stopping = time.Now()
			log.Info().Stringer("signal", s).Msg("stopping; a second signal aborts")
			stop()
		case time.Since(stopping) >= signalGrace:
			log.Warn().Stringer("signal", s).Msg("aborting")
			abort()
		}
	}
}

// connect connects to Redis and checks that it can hold a queue.
func connect(ctx context.Context, c config, log zerolog.Logger) (redis.UniversalClient, error) {
	redis.SetLogger(redisLog{log})
	rdb, err := openRedis(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	warnings, err := thoonk.Check(ctx, rdb)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("PUSHGLUE_REDIS_URL: %w", err), rdb.Close())
	}
	for _, warning := range warnings {
		log.Warn().Msg(warning)
	}
	return rdb, nil
}

func openRedis(c config) (redis.UniversalClient, error) {
	rdb, err := thoonk.Open(c.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("PUSHGLUE_REDIS_URL: %w", err)
	}
	return rdb, nil
}

// redisLog takes what go-redis would write to standard error. It is about single connections;
// what matters of it comes back as errors.
type redisLog struct{ zerolog.Logger }

// Printf implements the interface that redis.SetLogger wants.
func (l redisLog) Printf(_ context.Context, format string, v ...any) {
	l.Debug().Msgf("redis: "+format, v...)
}

func openFeeds(rdb redis.UniversalClient, c config, names []string) ([]*thoonk.Feed, error) {
	feeds := make([]*thoonk.Feed, len(names))
	for i, name := range names {
		options := []thoonk.Option{thoonk.WithLease(max(c.Lease, time.Second), c.LeaseOthers)}
		if c.Standby {
			options = append(options, thoonk.WithStandby())
		}
		feed, err := openFeed(rdb, c, name, options...)
		if err != nil {
			return nil, err
		}
		feeds[i] = feed
	}
	return feeds, nil
}

// asFeeds returns feeds as the engine wants them.
func asFeeds(feeds []*thoonk.Feed) []glue.Feed {
	list := make([]glue.Feed, len(feeds))
	for i, feed := range feeds {
		list[i] = feed
	}
	return list
}

func openFeed(rdb redis.UniversalClient, c config, name string, options ...thoonk.Option) (*thoonk.Feed, error) {
	dialect, err := thoonk.ParseDialect(c.Dialect)
	if err != nil {
		return nil, err
	}
	return thoonk.NewFeed(rdb, name, dialect, options...)
}
