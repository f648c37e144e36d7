package bench

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

func TestJobs(t *testing.T) {
	put := time.UnixMicro(1763990000123456)
	for _, size := range []int{240, 300, 5000} {
		j := newJobs(3, size)
		for i, payload := range j.next(9, put) {
			var job struct {
				ID     string `json:"id"`
				Thread int    `json:"thread"`
			}
			if err := json.Unmarshal(payload, &job); err != nil {
				t.Fatalf("%s: %v", payload, err)
			}
			at, n, err := ParseID(job.ID)
			if err != nil || !at.Equal(put) || n != i/3 || job.Thread != i%3 {
				t.Errorf("job %d is %s", i, payload)
			}
			if d := len(payload) - size; d < -10 || d > 10 {
				t.Errorf("a job of %d bytes has %d", size, len(payload))
			}
			if !bytes.HasPrefix(payload, []byte(`{"id":"`)) {
				t.Errorf("the id is not first: %s", payload)
			}
		}
	}
	for _, id := range []string{"", "1", "1.", ".1", "a.1", "1.a", "c1001.1"} {
		if _, _, err := ParseID(id); err == nil {
			t.Errorf("%q is an id", id)
		}
	}
}

func TestLatency(t *testing.T) {
	a, b := NewLatency(), NewLatency()
	if a.Quantiles() != nil {
		t.Error("nothing has quantiles")
	}
	a.Add(time.Millisecond, 98)
	b.Add(100*time.Millisecond, 1)
	b.Add(-time.Second, 1) // clocks differ
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Merge(encoded); err != nil {
		t.Fatal(err)
	}
	q := a.Quantiles()
	near := func(got, want float64) bool { return got > 0.99*want && got < 1.01*want }
	if !near(q.P50, 1) || !near(q.P99, 1) || !near(q.P999, 100) || !near(q.Max, 100) {
		t.Errorf("quantiles are %+v", q)
	}
	if a.Merge([]byte("no histogram")) == nil {
		t.Error("anything is a histogram")
	}
}
