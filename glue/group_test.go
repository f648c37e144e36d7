package glue

import (
	"context"
	"fmt"
	"testing"

	"pushglue/glue/tree"
)

// nowhere is a publisher that takes everything.
type nowhere struct{}

func (nowhere) Publish(context.Context, []*Message, []error) {}

// BenchmarkCoalesce coalesces batches of 256 comments to four channels each.
func BenchmarkCoalesce(b *testing.B) {
	post := func(m *Message) (string, bool) { return m.Object().Get(tree.Path{"post"}).Text() }
	for _, bench := range []struct {
		name    string
		threads int // to which the comments go
		key     func(*Message) (string, bool)
	}{
		{"threads=1", 1, nil}, {"threads=16", 16, nil}, {"threads=256", 256, nil}, {"threads=16/latest", 16, post},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := DefaultCoalesce()
			c.Key = bench.key
			batch := comments(b, bench.threads)
			outcomes := make([]error, len(batch))
			b.ReportAllocs()
			for b.Loop() {
				c.publish(b.Context(), nowhere{}, batch, outcomes)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/message")
		})
	}
}

// comments returns 256 comments of about 300 bytes.
func comments(b *testing.B, threads int) []*Message {
	batch := make([]*Message, 256)
	for i := range batch {
		object, err := tree.Parse(fmt.Appendf(nil, `{"id":"c%d","post":%d,"thread":%d,"message":"%0250d"}`, i, i%40, i%threads, i))
		if err != nil {
			b.Fatal(err)
		}
		m := NewMessage(fmt.Sprint("c", i), nil)
		m.Type = "post_save"
		m.SetObject(object)
		m.Body() // as the transformer leaves it
		for _, name := range []string{"forum", "user", "tag", "thread"} {
			m.Channels = append(m.Channels, fmt.Sprint(name, ":", i%threads))
		}
		batch[i] = m
	}
	return batch
}
