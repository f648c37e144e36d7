package demo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"pushglue/cmd/pushglue/demo/forum"
	"pushglue/cmd/pushglue/live"
	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/tree"
)

// demo is a running demo.
type demo struct {
	Config
	run         string // names this run
	page        string // base URL of the page
	internal    string // base URL of the push host's publish side
	journal     *journal
	application *forum.Application
	ledger      *glue.Ledger
	publishers  publishers
	engine      *glue.Glue
	news        *news
	panel       *live.Panel
}

// For so many seconds nothing may arrive while something is on its way. While comments are put that is longer
// than the engine needs to send again what a push host did not answer.
const (
	silence  = 15
	lateness = 5 // after the last comment
)

// errEngine is why the demo cannot go on. Why the engine ended is an error of its own.
var errEngine = errors.New("the engine ended before the demo")

// perform runs the engine while comments are put, until all messages have arrived.
func (d *demo) perform(ctx context.Context) error {
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	// The reader is there before the first comment is put.
	reader, err := eventstream.Subscribe(reading, d.page+"/subscribe/"+firehose, "")
	if err != nil {
		return err
	}
	defer reader.Close()
	d.greet()

	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var beside sync.WaitGroup
	beside.Go(func() { d.news.run(working, d.account) })
	beside.Go(func() { d.panel.Run(working) })
	var engineErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		engineErr = d.engine.Run(working)
	}()

	err = d.play(ctx, d.read(reading, reader), ended)
	if errors.Is(err, ErrAborted) {
		d.engine.Abort()
	}
	stop()
	beside.Wait()
	<-ended
	err = errors.Join(err, engineErr)
	return errors.Join(err, d.report(d.ledger.Sums(), err == nil))
}

// read gives a nil for each message that the reader receives, and then why there are no more.
func (d *demo) read(ctx context.Context, reader *eventstream.Subscription) <-chan error {
	received := make(chan error, 1)
	go func() {
		for err := error(nil); err == nil; {
			var event eventstream.Event
			if event, err = reader.Next(); err == nil {
				err = d.journal.receive(messageID(event))
			}
			select {
			case received <- err:
			case <-ctx.Done():
				return
			}
		}
	}()
	return received
}

// messageID returns the id of a message of the demo, and "" for others: an event without an id has that of the
// one before it, so its body must say the same.
func messageID(event eventstream.Event) string {
	envelope, err := tree.Parse([]byte(event.Data))
	if err != nil {
		return ""
	}
	id := envelope.Get(idPath)
	if id == nil {
		return ""
	}
	if text, _ := id.Text(); text != event.ID {
		return ""
	}
	return event.ID
}

// play puts comments until ctx is done or the demo's time is over, and waits for what is still on its
// way. received tells of each message that arrives, ended of the end of the engine.
func (d *demo) play(ctx context.Context, received <-chan error, ended <-chan struct{}) error {
	if d.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.For)
		defer cancel()
	}
	next, stop := iter.Pull(script(time.Now))
	defer stop()
	beat := time.NewTicker(max(1, time.Duration(float64(time.Second)/d.Rate)))
	defer beat.Stop()
	status := time.NewTicker(time.Second)
	defer status.Stop()
	due := false // the status, since a second has passed
	for {
		select {
		case <-ctx.Done():
			return d.await(received, ended)
		case <-d.Abort:
			return ErrAborted
		case <-ended:
			return errEngine
		case <-beat.C:
			c, _ := next()
			if err := d.application.Import(context.WithoutCancel(ctx), c.id, c.payload); err != nil {
				return err
			}
		case err := <-received:
			if err != nil {
				return err
			}
			if due {
				d.status()
			}
			due = false
		case <-status.C:
			// The clock of a second may be that of the comments. The next message tells more than what is
			// on its way at this very moment, if it comes.
			if due {
				d.status()
			}
			due = true
			if err := d.journal.tick(silence); err != nil {
				return err
			}
		}
	}
}

// await ends putting and waits until everything has arrived.
func (d *demo) await(received <-chan error, ended <-chan struct{}) error {
	d.journal.close()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	look := time.NewTicker(20 * time.Millisecond) // a job that stalls sends no message
	defer look.Stop()
	for d.journal.state().OnTheWay > 0 {
		select {
		case <-d.Abort:
			return ErrAborted
		case <-ended:
			return errEngine
		case err := <-received:
			if err != nil {
				return err
			}
		case <-look.C:
		case <-second.C:
			if err := d.journal.tick(lateness); err != nil {
				return err
			}
		}
	}
	return nil
}

// account is how things stand, for the page.
type account struct {
	Run     string    `json:"run"` // a page of another run begins anew
	At      time.Time `json:"at"`
	Wrong   string    `json:"wrong"`   // what does not balance
	Reader  tally     `json:"reader"`  // the demo's own
	Streams int       `json:"streams"` // that are open at the push host
	Lost    int64     `json:"lost"`    // traces that the page does not get to see
	Ledger  glue.Sums `json:"ledger"`
}

func (d *demo) account(ctx context.Context) any {
	a := account{Run: d.run, At: time.Now(), Reader: d.journal.state(), Streams: d.news.streams(ctx), Lost: d.news.lost.Load(), Ledger: d.ledger.Sums()}
	if err := a.Ledger.Balance(); err != nil {
		a.Wrong = err.Error()
	}
	return a
}

func (d *demo) greet() {
	fmt.Fprintf(d.Out, `The demo is at %[1]s

  the script, and you ─► feed %[2]s ─► pushglue ─► push host %[3]s ─► readers

Open the page in two windows, post in one, see it in the other, and what each stage made of it. Its readers have pages of their own:

  %[1]s/thread/    a thread of comments
  %[1]s/map/       which forums and threads are hot

Or:

  curl -N %[1]s/subscribe/%[4]s.b3
  curl %[1]s/api/threads/2201/comments --json '{"author": "Ann", "message": "Hello<script>alert(1)</script>"}'
  curl '%[3]s/channels-stats?id=thread:*'

`, d.page, feedName, d.internal, firehose)
	if d.For == 0 {
		fmt.Fprint(d.Out, "Ctrl-C ends it.\n\n")
	}
}

// status shows how things stand in one line, which the next one replaces.
func (d *demo) status() {
	if !d.Terminal {
		return
	}
	t := d.journal.state()
	balance := "the ledger balances"
	if d.ledger.Sums().Balance() != nil {
		balance = "THE LEDGER DOES NOT BALANCE"
	}
	fmt.Fprintf(d.Out, "\r\x1b[K%d put   %d received   %d on the way%s   %s", t.Put, t.Received, t.OnTheWay, t.notes(), balance)
}

// report writes the ledger and, after a good run, how many messages it was. It returns an error if the ledger
// does not balance.
func (d *demo) report(sums glue.Sums, good bool) error {
	if d.Terminal {
		fmt.Fprint(d.Out, "\r\x1b[K")
	}
	fmt.Fprintf(d.Out, "The ledger:\n")
	if err := errors.Join(sums.Write(d.Out), sums.Balance()); err != nil {
		return err
	}
	if !good {
		return nil
	}
	t := d.journal.state()
	_, err := fmt.Fprintf(d.Out, "\n%d jobs put, %d messages received%s, and the ledger balances.\n", t.Put, t.Received, t.notes())
	return err
}
