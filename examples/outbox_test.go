package examples

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"pushglue/glue/gluetest/service"
)

// TestTheOutboxLosesNothing kills relays and Redis while visitors write, and stops a relay in the midst of its work for as long as
// another does it. Every change must come to the feed, for each post in order; visitors notice nothing.
func TestTheOutboxLosesNothing(t *testing.T) {
	t.Parallel()
	store := service.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := store.Client(t)
	app := newApplication(t, store)
	server := app.serve("--no-relay")
	relays := []*program{app.relay(), app.relay()}
	crowd := startCrowd(t, app, 3)
	progress := func() {
		t.Helper()
		before := putSoFar(t, rdb)
		eventually(t, "more jobs are put", func() bool { return putSoFar(t, rdb) >= before+30 })
	}

	for range 3 {
		progress()
		i := rand.IntN(len(relays))
		relays[i].kill()
		relays[i] = app.relay()
	}

	progress()
	store.Kill()
	before := crowd.made()
	relays[0].kill()
	relays[0] = app.relay()
	eventually(t, "visitors write while Redis is away", func() bool { return crowd.made() >= before+40 })
	store.Start()

	for i := range relays { // one of them works
		progress()
		stopBetweenWrites(t, relays[i], crowd)
		progress()
		relays[i].signal(syscall.SIGCONT)
	}
	progress()

	expected := crowd.stop()
	var feed []string
	eventually(t, "all changes are on the feed", func() bool {
		feed = changesOnFeed(t, rdb)
		return len(feed) >= len(expected) && len(unique(feed)) == len(expected)
	})
	want := sortedByPost(expected)
	if !slices.Equal(sortedByPost(unique(feed)), want) {
		t.Error("the feed has other changes, or another order")
	}
	// What is put again is followed by what came after it, so that a reader who has not seen the first time ends up right too.
	slices.Reverse(feed)
	again := unique(feed)
	slices.Reverse(again)
	if !slices.Equal(sortedByPost(again), want) {
		t.Error("an old change is put after a newer one of its post")
	}
	t.Logf("%d changes, %d of them put again", len(expected), len(feed)-len(expected))

	for _, relay := range relays {
		relay.stop()
	}
	server.stop()
	if left, err := filepath.Glob(filepath.Join(app.data, "*.fifo")); err != nil || len(left) > 0 {
		t.Errorf("relays have left %q: %v", left, err)
	}
	if n, err := rdb.Exists(t.Context(), "outbox.relay:comments").Result(); err != nil || n > 0 {
		t.Errorf("a relay has left its key: %v", err)
	}
}

// stopBetweenWrites stops a relay when it is not writing to SQLite, which would keep all others from writing until it goes on.
func stopBetweenWrites(t *testing.T, relay *program, c *crowd) {
	t.Helper()
	wait := time.Second
	eventually(t, "a relay is stopped between its writes", func() bool {
		relay.signal(syscall.SIGSTOP)
		// One more change than visitors was made after that.
		enough := c.made() + c.visitors + 1
		for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if c.made() >= enough {
				return true
			}
		}
		wait *= 2
		relay.signal(syscall.SIGCONT)
		return false
	})
}

// crowd is visitors who write, change and delete comments until they are stopped.
type crowd struct {
	t        *testing.T
	visitors int
	group    errgroup.Group
	stopped  chan struct{}

	mu      sync.Mutex
	changes []string // ids of what was changed; for each post in order
}

func startCrowd(t *testing.T, app *application, visitors int) *crowd {
	t.Helper()
	c := &crowd{t: t, visitors: visitors, stopped: make(chan struct{})}
	for range visitors {
		v, err := app.visit()
		if err != nil {
			t.Fatal(err)
		}
		c.group.Go(func() error {
			for {
				select {
				case <-c.stopped:
					return nil
				default:
				}
				if err := c.write(v); err != nil {
					return err
				}
			}
		})
	}
	return c
}

// write writes a comment, changes it, and deletes it.
func (c *crowd) write(v *visitor) error {
	made, err := v.change(http.MethodPost, "/api/threads/1/comments", `{"author":"Ann","message":"Hello"}`)
	c.note(made.ID)
	path := fmt.Sprintf("/api/comments/%d", made.Post)
	for range 2 {
		edited, failed := v.change(http.MethodPatch, path, `{"message":"Hello again"}`)
		err = errors.Join(err, failed)
		c.note(edited.ID)
	}
	deleted, failed := v.change(http.MethodDelete, path, "")
	c.note(deleted.ID)
	return errors.Join(err, failed)
}

func (c *crowd) note(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes = append(c.changes, id)
}

// made returns how many changes were made.
func (c *crowd) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.changes)
}

// stop lets the visitors go, and returns the ids of what they have changed.
func (c *crowd) stop() []string {
	c.t.Helper()
	close(c.stopped)
	if err := c.group.Wait(); err != nil {
		c.t.Fatal(err)
	}
	return c.changes
}

// putSoFar returns how many jobs were put.
func putSoFar(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	n, err := rdb.Get(t.Context(), "feed.publishes:comments").Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return n
}

// changesOnFeed returns the ids of the changes on the feed, in the order in which they would be worked on.
func changesOnFeed(t *testing.T, rdb *redis.Client) []string {
	t.Helper()
	jobs, err := rdb.LRange(t.Context(), "feed.ids:comments", 0, -1).Result()
	if err != nil || len(jobs) == 0 {
		t.Fatalf("no jobs: %v", err)
	}
	payloads, err := rdb.HMGet(t.Context(), "feed.items:comments", jobs...).Result()
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(payloads))
	for i, payload := range payloads {
		var envelope struct{ ID string }
		if text, ok := payload.(string); !ok || json.Unmarshal([]byte(text), &envelope) != nil {
			t.Fatalf("a job is %v", payload)
		}
		ids[i] = envelope.ID
	}
	slices.Reverse(ids)
	return ids
}

// unique returns the texts without what has come before, as a reader sees them.
func unique(texts []string) []string {
	seen := map[string]bool{}
	var first []string
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			first = append(first, text)
		}
	}
	return first
}

// sortedByPost returns the ids of changes in the order of their posts, and keeps the order within each.
func sortedByPost(ids []string) []string {
	post := func(id string) (n int) {
		_, _ = fmt.Sscanf(id, "c%d.", &n) // 0 is an order too
		return n
	}
	return slices.SortedStableFunc(slices.Values(ids), func(a, b string) int { return post(a) - post(b) })
}
