package thoonk

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/service"
)

// repairTest is a feed whose jobs were put an hour ago, and its keeper.
type repairTest struct {
	*testing.T
	rdb redis.UniversalClient
	k   keeper
}

func newRepairTest(t *testing.T) *repairTest {
	rdb := service.StartRedis(t).Client(t)
	feed, err := NewFeed(rdb, "f", ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	return &repairTest{t, rdb, keeper{Feed: feed}}
}

func (r *repairTest) put(n int) []string {
	r.Helper()
	ids, err := r.k.Put(r.Context(), make([][]byte, n), PutOptions{})
	if err != nil {
		r.Fatal(err)
	}
	r.age(ids...)
	return ids
}

func (r *repairTest) age(ids ...string) {
	r.Helper()
	hourAgo := float64(time.Now().Add(-time.Hour).UnixMilli())
	for part := range slices.Chunk(ids, 1000) {
		var times []redis.Z
		for _, id := range part {
			times = append(times, redis.Z{Score: hourAgo, Member: id})
		}
		if err := r.rdb.ZAdd(r.Context(), "feed.published:f", times...).Err(); err != nil {
			r.Fatal(err)
		}
	}
}

// pop is the first half of the claim of a worker of thoonk.py, take the second one.
func (r *repairTest) pop() string { return r.rdb.RPop(r.Context(), "feed.ids:f").Val() }

func (r *repairTest) take(id string) {
	r.rdb.ZAdd(r.Context(), "feed.claimed:f", redis.Z{Score: float64(time.Now().UnixMilli()), Member: id})
}

func (r *repairTest) repair(want int) {
	r.Helper()
	if n, err := r.k.repair(r.Context()); err != nil || n != want {
		r.Errorf("recovered %d, %v, want %d", n, err, want)
	}
}

// later makes it a lease later for the suspects.
func (r *repairTest) later() {
	for _, s := range r.k.suspects {
		s.next = s.next.Add(-r.k.lease)
	}
}

func (r *repairTest) wantHead(want ...string) {
	r.Helper()
	got, err := r.rdb.LRange(r.Context(), "feed.ids:f", -int64(len(want)), -1).Result()
	if slices.Reverse(got); err != nil || !slices.Equal(got, want) {
		r.Errorf("the queue begins with %q, %v, want %q", got, err, want)
	}
}

// TestRepair has a worker that died between popping and claiming, one that is slow there, and one that
// pops the same job again and again.
func TestRepair(t *testing.T) {
	r := newRepairTest(t)
	ids := r.put(6)
	dead, slow, again := r.pop(), r.pop(), r.pop()
	r.repair(0)
	r.repair(0) // a lease is not over
	r.take(slow)
	r.take(again)
	r.repair(0)
	r.rdb.ZRem(t.Context(), "feed.claimed:f", again)
	r.later()
	r.repair(1)
	r.wantHead(dead, ids[3], ids[4], ids[5])
	r.later()
	r.repair(1) // the third one was found nowhere for a lease too
	r.wantHead(again, dead, ids[3])
	if claims := r.rdb.ZRange(t.Context(), "feed.claimed:f", 0, -1).Val(); !slices.Equal(claims, []string{slow}) {
		t.Errorf("claimed are %q, want %q", claims, slow)
	}
}

// TestRepairOnALongQueue has old jobs far from the head of the queue, which seem to be lost.
func TestRepairOnALongQueue(t *testing.T) {
	r := newRepairTest(t)
	if _, err := r.k.Put(t.Context(), make([][]byte, 2*headSize), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r.put(30)
	dead := r.pop()
	r.age(dead)
	walks := func() int {
		info := r.rdb.Info(t.Context(), "commandstats").Val()
		_, rest, _ := strings.Cut(info, "cmdstat_lpos:calls=")
		number, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.Atoi(number)
		return n
	}
	for _, want := range []int{10, 20, 30, 31, 31} {
		r.repair(0)
		if n := walks(); n != want {
			t.Errorf("%d walks over the queue, want %d", n, want)
		}
	}
	recovered := 0
	for range 4 {
		r.later()
		n, err := r.k.repair(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		recovered += n
	}
	if recovered != 1 {
		t.Errorf("recovered %d jobs, want the one that is lost", recovered)
	}
	r.wantHead(dead)
}
