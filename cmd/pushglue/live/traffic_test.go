package live

import (
	"fmt"
	"math"
	"testing"

	"pushglue/glue"
)

func published(c *Counting, channels ...string) {
	m := glue.NewMessage("id", nil)
	m.Channels = channels
	c.note([]*glue.Message{m}, make([]error, 1))
}

func TestTheMapFindsHotChannels(t *testing.T) {
	c := newCounting([]string{"thread:", "Private:", "private:"})
	failed := glue.NewMessage("id", nil)
	failed.Channels = []string{"thread:failed"}
	for second := range 60 {
		for n := range 20 {
			published(c, "thread:hot", "forum:f", "user:ann", "private:ann", "Private:ann")
			if n%2 == 0 {
				published(c, "thread:warm")
			}
		}
		for n := range 2 * mostNew { // each of them once
			published(c, fmt.Sprintf("thread:%d-%d", second, n))
		}
		c.note([]*glue.Message{failed}, []error{glue.ErrUnavailable})
		if len(c.met) > mostNew {
			t.Fatalf("%d channels are met", len(c.met))
		}
		c.tick()
		if len(c.kept) > mostKept || len(c.met) > 0 {
			t.Fatalf("%d channels are kept, %d met", len(c.kept), len(c.met))
		}
	}
	hot := c.hot()
	if len(hot) != mostHot || hot[0].Channel != "thread:hot" || hot[1].Channel != "thread:warm" {
		t.Fatalf("%d are hot: %v", len(hot), hot)
	}
	for i, want := range []float64{20, 10} {
		if got := hot[i].PerSecond; math.Abs(got-want) > 0.1 {
			t.Errorf("%s: %g a second, want %g", hot[i].Channel, got, want)
		}
	}
	for _, h := range hot {
		if h.Channel == "thread:failed" || h.PerSecond > 20.1 {
			t.Errorf("%+v", h)
		}
	}
	for range 100 {
		c.tick()
	}
	if hot := c.hot(); len(hot) != 0 {
		t.Errorf("long after: %v", hot)
	}
}

func BenchmarkTraffic(b *testing.B) {
	c := newCounting([]string{"forum:", "thread:"})
	batch := make([]*glue.Message, 256)
	for i := range batch {
		batch[i] = glue.NewMessage("id", nil)
		batch[i].Channels = []string{"forum:f", fmt.Sprintf("thread:%d", i%100), "user:ann", fmt.Sprintf("post:%d", i)}
	}
	outcomes := make([]error, len(batch))
	c.note(batch, outcomes)
	c.tick()
	for b.Loop() {
		c.note(batch, outcomes)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/message")
}
