// Package demo shows the whole path in one process: a web application, a Redis, the engine, a push
// host, a page for browsers, and a reader that checks that nothing is lost on the way.
//
//	script ──┐                                            ┌──► reader: every message once, in order
//	         ├──► journal ──► feed ──► engine ──► push host ──► page
//	page ────┘                           │            ▲
//	                                   watch ──► news ┘ what happened to each job
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/demo/forum"
	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/glue/thoonk"
)

// Config is what a demo is made of.
type Config struct {
	Addr     string          // where the page is
	For      time.Duration   // how long comments are put; 0 for until the context is done
	Rate     float64         // comments of the script in a second
	Out      io.Writer       // for people
	Terminal bool            // Out can show a line that changes
	Log      zerolog.Logger  // what goes wrong
	Abort    <-chan struct{} // when it is closed, Run ends at once
}

// ErrAborted is what Run returns after an abort.
var ErrAborted = errors.New("aborted")

// Run starts everything, puts comments until ctx is done or the time is over, and waits for what is
// on its way. It returns an error when a message is lost or comes out of order, and when the ledger does
// not balance. Jobs that stall, messages that come again, and those of others are counted.
func Run(ctx context.Context, c Config) (err error) {
	// What may be taken comes first: the page's address.
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("--addr: %w; choose another address, or 127.0.0.1:0 for any free port", err)
	}
	defer listener.Close()

	// A directory for what pipelines write.
	dir, err := os.MkdirTemp("", "pushglue-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	// Redis, and the feed in it.
	store, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("start embedded Redis: %w", err)
	}
	defer store.Close()
	rdb := redis.NewClient(&redis.Options{Addr: store.Addr(), ReadTimeout: -1})
	defer rdb.Close()
	feed, err := thoonk.NewFeed(rdb, feedName, thoonk.ThoonkPy)
	if err != nil {
		return err
	}

	// The push host. Its publish side has an address of its own, as it should.
	host := gluetest.NewPushServer()
	defer host.Close()
	internal, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start embedded push host: %w", err)
	}
	defer serve(internal, sameHost("localhost", sameOrigin(host.Internal()))).Close()

	// The engine, with somebody who watches it.
	d := &demo{Config: c, run: rand.Text(), journal: &journal{feed: feed}, ledger: new(glue.Ledger)}
	d.page, d.internal = baseURL(listener), baseURL(internal)
	d.news = newNews(d.internal)
	d.publishers = publishers{host: d.internal, dir: dir, ledger: d.ledger, log: c.Log}
	defer func() { err = errors.Join(err, d.publishers.close()) }()
	if d.application, err = forum.New(forum.Config{Put: d.journal.put, Threads: threads(), Log: c.Log}); err != nil {
		return err
	}
	p := &page{
		name: hostname(c.Addr), application: d.application, threads: threads(), host: host, watch: newWatch(d.news.offer), account: d.account,
	}
	p.watch.stalled = d.journal.stall
	if err := d.startEngine(feed, p); err != nil {
		return err
	}

	// The page.
	defer serve(listener, p.handler()).Close()
	return d.perform(ctx)
}

// serve answers on a listener until the server that it returns is closed.
func serve(l net.Listener, h http.Handler) *http.Server {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // the listener is its own: nothing can go wrong
		}
	}()
	return server
}

// baseURL returns a URL for a listener. One that listens everywhere is reached here too.
func baseURL(l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		panic(err) // a TCP listener has a port
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
