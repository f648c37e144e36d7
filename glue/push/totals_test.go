package push

import (
	"reflect"
	"testing"
)

func TestTotals(t *testing.T) {
	for name, test := range map[string]struct {
		module Module
		text   string
		want   Totals
	}{
		"push-stream": {
			PushStream,
			`{"hostname": "h", "time": "2026-11-27T21:24:18", "channels": 2, "wildcard_channels": 0, "published_messages": 7, "stored_messages": 3, "messages_in_trash": 4, "channels_in_delete": 0, "channels_in_trash": 0, "subscribers": 5, "uptime": 9, "by_worker": [{"pid": "11", "subscribers": 2, "uptime": 9},{"pid": "12", "subscribers": 3, "uptime": 9}]}`,
			Totals{Readers: 5, Channels: 2, Stored: 3, Published: 7, Trash: 4, Workers: []WorkerTotals{{"11", 2}, {"12", 3}}},
		},
		"push-stream, quoted": {PushStream, `{"channels": "2", "stored_messages": "3", "subscribers": "5"}`, Totals{Readers: 5, Channels: 2, Stored: 3}},
		"Nchan": {
			Nchan, "total published messages: 7\nstored messages: 3\nshared memory used: 12K\nshared memory limit: 32768K\nchannels: 2\nsubscribers: 5\nredis pending commands: 0\n",
			Totals{Readers: 5, Channels: 2, Stored: 3, Published: 7, MemoryUsed: 12 << 10, MemoryLimit: 32 << 20},
		},
		"Nchan, less": {Nchan, "stored messages: 3\nchannels: 2\nsubscribers: 5\n", Totals{Readers: 5, Channels: 2, Stored: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := test.module.readTotals([]byte(test.text)); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
	for _, text := range []string{"", "{}", "channels: 2\nsubscribers: 1\n", `{"channels": 2, "subscribers": "x", "stored_messages": 1}`} {
		for _, module := range []Module{Nchan, PushStream} {
			if got, err := module.readTotals([]byte(text)); err == nil {
				t.Errorf("%s takes %q for %+v", module, text, got)
			}
		}
	}
}

func FuzzTotals(f *testing.F) {
	f.Add([]byte(`{"channels": 2, "stored_messages": 3, "subscribers": 5, "by_worker": [{"pid": "11", "subscribers": 2}]}`))
	f.Add([]byte("stored messages: 3\nshared memory used: 12K\nchannels: 2\nsubscribers: 5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, module := range []Module{Nchan, PushStream} {
			if got, err := module.readTotals(text); err != nil && !reflect.DeepEqual(got, Totals{}) {
				t.Errorf("%s: %+v with %v", module, got, err)
			}
		}
	})
}
