package push_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/push"
)

// BenchmarkPublish publishes batches of 256 messages of 300 bytes to a real nginx with Nchan. One operation is
// one batch.
func BenchmarkPublish(b *testing.B) {
	for name, config := range map[string]push.Config{
		"connection":  {},
		"connections": {Connections: 4},
		"net-http":    {Transport: new(http.Transport)},
	} {
		for _, channels := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/channels=%d", name, channels), func(b *testing.B) {
				config.Module = push.Nchan
				config.Hosts = []string{service.StartNginx(b, service.Nchan).InternalURL()}
				benchPublish(b, config, channels)
			})
		}
	}
}

func benchPublish(b *testing.B, config push.Config, channels int) {
	p, err := push.New(config)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	batch := make([]*glue.Message, 256)
	for i := range batch {
		batch[i] = glue.NewMessage(fmt.Sprint("m", i), bytes.Repeat([]byte("x"), 300))
		for c := range channels {
			batch[i].Channels = append(batch[i].Channels, fmt.Sprintf("c%d:%d", i%16, c))
		}
	}
	outcomes := make([]error, len(batch))
	b.ReportAllocs()
	for b.Loop() {
		p.Publish(b.Context(), batch, outcomes)
		wantAll(b, outcomes)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/message")
}

func wantAll(b *testing.B, outcomes []error) {
	for _, err := range outcomes {
		if err != nil {
			b.Fatal(err)
		}
	}
}
