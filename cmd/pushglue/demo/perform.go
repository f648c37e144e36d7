package demo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// demo is a running demo.
type demo struct {
	Config
	run        string // names this run
	page       string // base URL of the page
	internal   string // base URL of the push host's publish side
	journal    *journal
	ledger     *glue.Ledger
	publishers publishers
	engine     *glue.Glue
	news       *news
}

// lateness is how long the demo waits for messages after its last job.
const lateness = 5 * time.Second

// perform runs the engine while comments are put, until all messages have arrived.
func (d *demo) perform(ctx context.Context) error {
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	// The reader is there before the first comment is put.
	reader, err := gluetest.Subscribe(reading, d.page+"/subscribe/"+firehose, "")
	if err != nil {
		return err
	}
	defer reader.Close()
	d.greet()

	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var beside sync.WaitGroup
	beside.Go(func() { d.news.run(working, d.account) })
	ended := make(chan error, 1)
	go func() { ended <- d.engine.Run(working) }()

	err = d.play(ctx, d.read(reading, reader))
	if errors.Is(err, ErrAborted) {
		d.engine.Abort()
	}
	stop()
	beside.Wait()
	return errors.Join(err, <-ended, d.report(d.ledger.Sums()))
}

// read gives a nil for each message that the reader receives as it should, and then why there are no more.
func (d *demo) read(ctx context.Context, reader *gluetest.Subscription) <-chan error {
	received := make(chan error, 1)
	go func() {
		for err := error(nil); err == nil; {
			var event gluetest.Event
			if event, err = reader.Next(); err == nil {
				err = d.journal.receive(event.ID)
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

// play puts comments until ctx is done or the demo's time is over, and waits for what is still on its
// way. received tells of each message that arrives.
func (d *demo) play(ctx context.Context, received <-chan error) error {
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
	for {
		select {
		case <-ctx.Done():
			return d.await(received)
		case <-d.Abort:
			return ErrAborted
		case <-beat.C:
			c, _ := next()
			if err := d.journal.put(context.WithoutCancel(ctx), c); err != nil {
				return err
			}
		case err := <-received:
			if err != nil {
				return err
			}
		case <-status.C:
			d.status()
		}
	}
}

// await ends putting and waits until everything has arrived.
func (d *demo) await(received <-chan error) error {
	d.journal.close()
	late := time.After(lateness)
	for d.journal.state().OnTheWay > 0 {
		select {
		case <-d.Abort:
			return ErrAborted
		case err := <-received:
			if err != nil {
				return err
			}
		case <-late:
			return fmt.Errorf("%d messages did not reach the reader in %s", d.journal.state().OnTheWay, lateness)
		}
	}
	return nil
}

// account is how things stand, for the page.
type account struct {
	Run     string    `json:"run"`     // a page of another run begins anew
	Wrong   string    `json:"wrong"`   // what does not balance
	Reader  tally     `json:"reader"`  // the demo's own
	Streams int       `json:"streams"` // that are open at the push host
	Lost    int64     `json:"lost"`    // traces that the page does not get to see
	Ledger  glue.Sums `json:"ledger"`
}

func (d *demo) account(ctx context.Context) any {
	a := account{Run: d.run, Reader: d.journal.state(), Streams: d.news.streams(ctx), Lost: d.news.lost.Load(), Ledger: d.ledger.Sums()}
	if err := a.Ledger.Balance(); err != nil {
		a.Wrong = err.Error()
	}
	return a
}

func (d *demo) greet() {
	fmt.Fprintf(d.Out, `The demo is at %[1]s

  the script, and you ─► feed %[2]s ─► pushglue ─► push host %[3]s ─► readers

Open the page in two windows, post in one, see it in the other, and what each stage made of it. Or:

  curl -N %[1]s/subscribe/%[4]s.b3
  curl %[1]s/comments --json '{"author": "Ann", "message": "Hello<script>alert(1)</script>", "thread": 2201}'
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
	fmt.Fprintf(d.Out, "\r\x1b[K%d put   %d received   %d on the way   %s", t.Put, t.Received, t.OnTheWay, balance)
}

// report writes the ledger. It returns an error if that does not balance.
func (d *demo) report(sums glue.Sums) error {
	if d.Terminal {
		fmt.Fprint(d.Out, "\r\x1b[K")
	}
	fmt.Fprintf(d.Out, "The ledger:\n")
	if err := errors.Join(sums.Write(d.Out), sums.Balance()); err != nil {
		return err
	}
	t := d.journal.state()
	_, err := fmt.Fprintf(d.Out, "\n%d jobs put, %d messages received, and the ledger balances.\n", t.Put, t.Received)
	return err
}
