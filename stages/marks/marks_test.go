package marks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/service"
	"pushglue/stages"
	"pushglue/stages/marks"
)

func begin(t *testing.T, m *marks.Marks, id, job string, want stages.Standing) {
	t.Helper()
	if got, err := m.Begin(t.Context(), id, job); err != nil || got != want {
		t.Errorf("job %s begins %s: %v, %v, want %v", job, id, got, err, want)
	}
}

func TestMarks(t *testing.T) {
	store := service.StartRedis(t)
	rdb := store.Client(t)
	m := marks.New(rdb, "f", "p")
	begin(t, m, "c1", "1", stages.New)
	begin(t, m, "c1", "1", stages.New)
	begin(t, m, "c1", "2", stages.OnItsWay)
	begin(t, marks.New(rdb, "f", "q"), "c1", "2", stages.New)
	begin(t, marks.New(rdb, "f", "p c1"), "c1", "2", stages.New)
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		if left := rdb.PTTL(t.Context(), key).Val(); left <= 0 || left > time.Minute {
			t.Errorf("%s lasts %s", key, left)
		}
	}
	if err := m.Done(t.Context(), []string{"c1", "c2"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"c1", "c2"} {
		begin(t, m, id, "1", stages.Published)
		begin(t, m, id, "2", stages.Published)
		if left := rdb.PTTL(t.Context(), "pushglue.published:f p "+id).Val(); left <= 50*time.Minute || left > time.Hour {
			t.Errorf("%s is remembered for %s", id, left)
		}
	}
	// As when the job that had it is gone.
	if err := rdb.Del(t.Context(), "pushglue.published:f p c1").Err(); err != nil {
		t.Fatal(err)
	}
	begin(t, m, "c1", "3", stages.New)
}

func TestMarksWithoutRedis(t *testing.T) {
	store := service.StartRedis(t)
	m := marks.New(store.Client(t), "f", "p")
	store.Stop()
	if _, err := m.Begin(t.Context(), "secret", "1"); err == nil {
		t.Error("it has begun without Redis")
	}
	if err := m.Done(t.Context(), []string{"secret"}, time.Hour); err == nil {
		t.Error("it is done without Redis")
	}
	store.Start()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		standing, err := m.Begin(t.Context(), "c1", "1")
		if err == nil && standing == stages.New {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v", standing, err)
		}
	}
}

// TestRedisIsLeftAloneAfterAFailure asks a client that is closed.
func TestRedisIsLeftAloneAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
		if err := rdb.Close(); err != nil {
			t.Fatal(err)
		}
		m := marks.New(rdb, "f", "p")
		for i, asked := range []bool{true, false, false, true, false} {
			_, err := m.Begin(t.Context(), "secret", "1")
			if !errors.Is(err, redis.ErrClosed) || strings.Contains(err.Error(), "so soon") == asked || strings.Contains(err.Error(), "secret") {
				t.Errorf("attempt %d: %v", i, err)
			}
			if i == 2 {
				time.Sleep(time.Second)
			}
		}
	})
}

// BenchmarkMarks begins each message by itself and ends 256 at once, as the engine does.
func BenchmarkMarks(b *testing.B) {
	const batch = 256
	rdb := service.StartRedis(b).Client(b)
	m := marks.New(rdb, "f", "p")
	ids := make([]string, batch)
	n := 0
	b.Run("begin", func(b *testing.B) {
		for b.Loop() {
			n++
			if _, err := m.Begin(b.Context(), fmt.Sprint("c", n), "1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("done-256", func(b *testing.B) {
		for b.Loop() {
			for i := range ids {
				n++
				ids[i] = fmt.Sprint("c", n)
			}
			if err := m.Done(b.Context(), ids, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
}
