package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/sign"
	"pushglue/glue/tree"
)

func newTailCommand() *cobra.Command {
	var t tailing
	cmd := &cobra.Command{
		Use:   "tail CHANNEL…",
		Short: "Show what arrives on channels, at every push host",
		Long: `Reads channels on the public side of every push host, as a browser does, and shows each message: when it arrived,
where, its id, type and size, how much later than at the first host, and its content. It says

  twice    the host has sent the same message before
  missing  other hosts have had the message for --late, and this one has not

Streams that end are opened again, with a Last-Event-ID. Ctrl-C ends it, with the sums of each host.

Where the public side is, the daemon does not know: by default it is port 80 of the hosts in PUSHGLUE_PUSH_HOSTS, or in
the file of PUSHGLUE_PUSH_HOSTS_FILE. With --signed, URLs are signed as "pushglue sign" does, for private channels.`,
		Example: `  pushglue tail thread:2201
  pushglue tail --url http://10.0.0.1,http://10.0.0.2 forum:news thread:2201
  pushglue tail --json --time createdAt thread:2201`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			t.out, t.warnings = c.OutOrStdout(), c.ErrOrStderr()
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return t.run(ctx, args)
		},
	}
	cmd.Flags().StringSliceVar(&t.urls, "url", nil, "base URLs of the push hosts' public side, separated by commas")
	cmd.Flags().DurationVar(&t.late, "late", 2*time.Second, "how much later than another host one may have a message before it is missing")
	cmd.Flags().StringVar(&t.timeField, "time", "", "the member of a message with its time, by its path: a text as in RFC 3339, or seconds or ms since 1970")
	cmd.Flags().BoolVar(&t.signed, "signed", false, "sign the URLs with "+privateKey)
	cmd.Flags().BoolVar(&t.asJSON, "json", false, "print a JSON object for each line, with the whole content")
	return cmd
}

// tailing is one run of tail.
type tailing struct {
	urls           []string
	late           time.Duration
	timeField      string
	signed, asJSON bool
	out, warnings  io.Writer
}

func (t *tailing) run(ctx context.Context, channels []string) error {
	path, err := t.check(channels)
	if err != nil {
		return usageError{err}
	}
	bases, err := t.bases(ctx)
	if err != nil {
		return err
	}
	var streams []*tailStream
	for _, base := range bases {
		for _, channel := range channels {
			s := &tailStream{host: base.Host, channel: channel, base: base.String(), signed: t.signed, patience: tailPatience}
			if _, err := s.url(); err != nil {
				return err
			}
			streams = append(streams, s)
		}
	}
	w := newTailWatch(streams, t.late, path)
	said := make(chan tailNews)
	reading, end := context.WithCancel(ctx)
	var readers sync.WaitGroup
	for i, s := range streams {
		readers.Go(func() { s.read(reading, i, said) })
	}
	go func() { readers.Wait(); close(said) }()
	err = t.watch(ctx, w, said)
	end()
	for range said { // what they still say when they end
	}
	return errors.Join(err, t.write(w.summary()...))
}

// check checks what was asked for, and returns the path of a message's time.
func (t *tailing) check(channels []string) (path tree.Path, err error) {
	for _, name := range channels {
		if err := glue.CheckChannel(name); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	if t.late <= 0 {
		return nil, errors.New("--late must be more than 0s")
	}
	if t.timeField != "" {
		if path, err = tree.ParsePath(t.timeField); err != nil {
			return nil, fmt.Errorf("--time: %w", err)
		}
	}
	return path, nil
}

// bases returns where the hosts' public side is.
func (t *tailing) bases(ctx context.Context) ([]*url.URL, error) {
	urls := t.urls
	if len(urls) == 0 {
		var c config
		_ = c.read() // of what is wrong elsewhere the daemon tells
		if err := c.checkPushHosts(); err != nil {
			return nil, err
		}
		targets, err := c.discovery(zerolog.Nop()).Find(ctx)
		if err != nil {
			return nil, fmt.Errorf("push hosts: %w; --url names them", err)
		}
		for _, target := range targets {
			u, err := url.Parse(target.URL)
			if err != nil {
				return nil, fmt.Errorf("push hosts: %w", err)
			}
			urls = append(urls, "http://"+strings.TrimSuffix(u.Host, ":"+u.Port()))
		}
	}
	var bases []*url.URL
	for _, text := range urls {
		u, err := url.Parse(strings.TrimSuffix(strings.TrimSpace(text), "/"))
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
			return nil, usageError{fmt.Errorf("--url: %q is no base URL such as http://10.0.0.1", text)}
		case slices.ContainsFunc(bases, func(b *url.URL) bool { return b.Host == u.Host }):
			return nil, usageError{fmt.Errorf("%s is there twice; --url names the public side of each push host", u.Host)}
		}
		bases = append(bases, u)
	}
	return bases, nil
}

// watch writes what happens until ctx is done or all streams have ended for good, which is an error.
func (t *tailing) watch(ctx context.Context, w *tailWatch, said <-chan tailNews) error {
	tick := time.NewTicker(min(t.late, time.Second) / 4)
	defer tick.Stop()
	for {
		var lines []tailLine
		select {
		case news, more := <-said:
			if !more {
				if ctx.Err() != nil {
					return nil
				}
				return errors.New("no push host lets anybody read")
			}
			lines = w.hear(news)
		case now := <-tick.C:
			lines = w.look(now)
		case <-ctx.Done():
			return nil
		}
		if err := t.write(lines...); err != nil {
			return err
		}
	}
}

func (t *tailing) write(lines ...tailLine) error {
	for i := range lines {
		if t.asJSON {
			if err := writeJSON(t.out, &lines[i]); err != nil {
				return err
			}
		} else if _, err := fmt.Fprintln(t.out, lines[i].String()); err != nil {
			return err
		}
	}
	return nil
}

// tailStream is a reader of one channel on one host.
type tailStream struct {
	host, channel, base string
	signed              bool
	patience            time.Duration // for a stream to open
}

// tailPatience is how long a push host has to open a stream: one that hangs still takes connections.
const tailPatience = 5 * time.Second

// tailNews is what a stream tells: an event; or that it is open, or has ended, and why.
type tailNews struct {
	stream int
	at     time.Time
	event  *eventstream.Event
	open   bool
	ended  error
	again  time.Duration // when it is opened again; 0 for never
}

// url returns where the channel is read. A signature is made anew each time, since it expires.
func (s *tailStream) url() (string, error) {
	if s.signed {
		return signing{time.Hour, s.base, string(sign.Subscribe)}.url([]string{s.channel})
	}
	return s.base + "/subscribe/" + url.PathEscape(s.channel), nil
}

// read reads until ctx is done, or until the host refuses it as a browser takes for final, and tells what happens.
func (s *tailStream) read(ctx context.Context, number int, said chan<- tailNews) {
	pause := backoff.NewExponentialBackOff() // with jitter
	pause.MaxInterval = 10 * time.Second
	for lastID := ""; ; {
		err := s.readOnce(ctx, &lastID, func(n tailNews) {
			pause.Reset()
			n.stream, n.at = number, time.Now()
			said <- n
		})
		if ctx.Err() != nil {
			return
		}
		n := tailNews{stream: number, at: time.Now(), ended: err, again: pause.NextBackOff()}
		if status := (*eventstream.StatusError)(nil); errors.As(err, &status) && status.Code < http.StatusInternalServerError && status.Code != http.StatusTooManyRequests {
			n.again = 0
		}
		said <- n
		if n.again == 0 || !glue.Sleep(ctx, n.again) {
			return
		}
	}
}

// readOnce reads one stream to its end.
func (s *tailStream) readOnce(ctx context.Context, lastID *string, tell func(tailNews)) error {
	at, err := s.url()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(s.patience, func() { cancel(fmt.Errorf("the host does not answer in %s", s.patience)) })
	stream, err := eventstream.Subscribe(ctx, at, *lastID)
	patience.Stop()
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	defer stream.Close()
	tell(tailNews{open: true})
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		*lastID = event.ID
		tell(tailNews{event: &event})
	}
}
