package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue"
	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/glue/thoonk"
	"pushglue/glue/tree"
	"pushglue/stages"
	"pushglue/stages/pipelines"
)

//go:embed demo.yml
var demoPipelines []byte

// demoFeed is the feed of demoPipelines, and demoChannel the channel that gets all its messages.
const (
	demoFeed    = "comments"
	demoChannel = "firehose"
)

func newDemoCommand() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole path in one process, with nothing installed",
		Long: `Starts a Redis and a push host inside the process, puts comments on a feed, and prints what a
reader receives, and at the end the ledger. The exit code is 0 only if the reader received every
message once, in order, and the ledger balances.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if !(d.rate > 0) || d.duration <= 0 { // NaN is not more than 0
				return usageError{errors.New("--for and --rate must be more than 0")}
			}
			d.out = c.OutOrStdout()
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return d.run(ctx)
		},
	}
	cmd.Flags().DurationVar(&d.duration, "for", 5*time.Second, "how long to put comments")
	cmd.Flags().Float64Var(&d.rate, "rate", 10, "comments a second")
	return cmd
}

// demo is one run of the demo.
type demo struct {
	duration time.Duration
	rate     float64
	out      io.Writer

	put, received int
}

func (d *demo) run(ctx context.Context) error {
	// Redis and the push host.
	store, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("start embedded Redis: %w", err)
	}
	defer store.Close()
	rdb := redis.NewClient(&redis.Options{Addr: store.Addr()})
	defer rdb.Close()
	base, stopHost, err := startPushServer()
	if err != nil {
		return err
	}
	defer stopHost()

	// The engine.
	ledger := new(glue.Ledger)
	feed, err := thoonk.NewFeed(rdb, demoFeed, thoonk.ThoonkPy)
	if err != nil {
		return err
	}
	var w wiring
	defer w.close()
	engine, err := demoEngine(&w, base, feed, ledger)
	if err != nil {
		return err
	}

	// A reader, connected before the first comment is put.
	reader, err := gluetest.Subscribe(context.WithoutCancel(ctx), base+"/subscribe/"+demoChannel, "")
	if err != nil {
		return err
	}
	defer reader.Close()

	fmt.Fprintf(d.out, "comments -> feed %s -> pushglue -> push host %s -> reader of channel %s\n\n", demoFeed, base, demoChannel)
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	engineDone := make(chan error, 1)
	go func() { engineDone <- engine.Run(engineCtx) }()
	err = d.play(ctx, feed, reader)
	stopEngine()
	return errors.Join(err, <-engineDone, d.report(ledger.Sums()))
}

// startPushServer starts a push host in this process and returns its base URL.
func startPushServer() (base string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start embedded push host: %w", err)
	}
	host := gluetest.NewPushServer()
	server := &http.Server{Handler: host, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // it has a listener of its own: nothing can go wrong
		}
	}()
	return "http://" + listener.Addr().String(), func() { host.Close(); server.Close() }, nil
}

func demoEngine(w *wiring, base string, feed glue.Feed, ledger *glue.Ledger) (*glue.Glue, error) {
	if err := demoKey(); err != nil {
		return nil, err
	}
	log := zerolog.Nop()
	c := config{PushHosts: []string{base}, PushModule: "push-stream", PushTimeout: 5 * time.Second}
	list, err := pipelines.Parse("demo.yml", demoPipelines, pipelines.Publishers{
		"push": func(stages.Options) (glue.Publisher, error) { return w.pushPublisher(c, ledger, log) },
	})
	if err != nil {
		return nil, err
	}
	return glue.New(glue.Config{Feeds: []glue.Feed{feed}, Pipelines: list, Ledger: ledger, Log: log})
}

// demoKey makes a key for the pseudonyms if the environment has none.
func demoKey() error {
	const name = "PUSHGLUE_ANONYMIZE_KEY"
	if os.Getenv(name) != "" {
		return nil
	}
	var key [32]byte
	rand.Read(key[:]) // never fails
	return os.Setenv(name, hex.EncodeToString(key[:]))
}

// play puts comments until the demo's time is over, prints what the reader receives meanwhile,
// and waits for what is still on its way. The reader must get every message once, in order.
func (d *demo) play(ctx context.Context, feed *thoonk.Feed, reader *gluetest.Subscription) error {
	events := readAll(reader)
	tick := time.NewTicker(max(1, time.Duration(float64(time.Second)/d.rate)))
	defer tick.Stop()
	end := time.After(d.duration)
	var late <-chan time.Time // set when all is put
	var expected []string
	next, stop := iter.Pull(comments())
	defer stop()
	for late == nil || len(expected) > 0 {
		select {
		case <-tick.C:
			if late != nil {
				continue
			}
			payload, _ := next()
			if _, err := feed.Put(context.WithoutCancel(ctx), [][]byte{payload}, thoonk.PutOptions{}); err != nil {
				return err
			}
			d.put++
			expected = append(expected, messageID(payload))
		case <-end:
			late = time.After(lateness)
		case <-ctx.Done():
			ctx, late = context.WithoutCancel(ctx), time.After(lateness)
		case event, ok := <-events:
			if !ok || len(expected) == 0 || event.ID != expected[0] {
				return fmt.Errorf("the reader received %q, not the next of the %d messages that are on their way", event.ID, len(expected))
			}
			expected = expected[1:]
			d.received++
			fmt.Fprintf(d.out, "%-12s %-10s %s\n", event.Type, event.ID, shorten(event.Data))
		case <-late:
			return fmt.Errorf("%d messages did not reach the reader in %s", len(expected), lateness)
		}
	}
	return nil
}

// lateness is how long the demo waits for messages after its last job.
const lateness = 5 * time.Second

// readAll returns the reader's events; the channel is closed when the stream ends.
func readAll(reader *gluetest.Subscription) <-chan gluetest.Event {
	events := make(chan gluetest.Event, 1024)
	go func() {
		defer close(events)
		for {
			event, err := reader.Next()
			if err != nil {
				return
			}
			events <- event
		}
	}()
	return events
}

// comments returns the embedded comments, again and again.
func comments() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			for line := range bytes.Lines(pushglue.Comments) {
				if !yield(bytes.TrimSpace(line)) {
					return
				}
			}
		}
	}
}

// messageID returns the id of the message that a comment becomes.
func messageID(payload []byte) string {
	envelope, err := tree.Parse(payload)
	if err != nil {
		return ""
	}
	id, _ := envelope.Get(tree.Path{"id"}).Text()
	return id
}

// maxShown is how much of a message the demo prints, in bytes.
const maxShown = 160

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	runes := []rune(s)
	return string(runes[:min(len(runes), maxShown)]) + "…"
}

func (d *demo) report(sums glue.Sums) error {
	fmt.Fprintf(d.out, "\nThe ledger:\n")
	if err := errors.Join(sums.Write(d.out), sums.Balance()); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n%d jobs put, %d messages received, and the ledger balances.\n", d.put, d.received)
	return nil
}
