package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/thoonk"
)

// job is a job as the producer puts it. It is numbered in each of its channels.
type job struct {
	id      string
	feed    string
	payload string
	place   map[string]int // its number, from 1, by channel
	refused bool           // by a push host, for good
}

// threads is how many channels a feed has beside the one for all.
const threads = 3

// producer puts jobs at a steady rate, each until Redis has taken it.
type producer struct {
	r    *round
	rng  *rand.Rand
	stop context.CancelFunc
	done chan struct{}

	// confirm, if there is one, waits until what was put cannot be lost any more.
	confirm func(context.Context) error

	mu     sync.Mutex
	jobs   map[string]job  // by id
	counts map[string]int  // jobs by channel
	put    int             // jobs that Redis has taken
	poison map[string]bool // ids of jobs that must stall
	again  map[string]bool // ids of jobs that were put again, since Redis did not answer
}

func newProducer(r *round) *producer {
	return &producer{
		r: r, rng: rand.New(rand.NewPCG(r.rng.Uint64(), 0)), done: make(chan struct{}),
		jobs: map[string]job{}, counts: map[string]int{}, poison: map[string]bool{}, again: map[string]bool{},
	}
}

// channels returns those of all feeds.
func channels() []string {
	var names []string
	for _, feed := range feeds {
		names = append(names, feed)
		for thread := range threads {
			names = append(names, fmt.Sprintf("%s:%d", feed, thread))
		}
	}
	return names
}

// next makes the next job.
func (p *producer) next() job {
	p.mu.Lock()
	defer p.mu.Unlock()
	feed := feeds[p.rng.IntN(len(feeds))]
	thread := p.rng.IntN(threads)
	own := fmt.Sprintf("%s:%d", feed, thread)
	j := job{feed: feed, place: map[string]int{feed: p.counts[feed] + 1, own: p.counts[own] + 1}}
	j.id = fmt.Sprintf("%s-%d", feed, len(p.jobs)+1)
	j.payload = fmt.Sprintf(`{"id":%q,"feed":%q,"thread":%d,"all":%d,"seq":%d,"text":%q}`,
		j.id, feed, thread, j.place[feed], j.place[own], strings.Repeat("x", p.rng.IntN(300)))
	if p.r.spoil > 0 && p.rng.IntN(p.r.spoil) == 0 {
		p.poison[j.id] = true
		p.r.poisons[p.rng.IntN(len(p.r.poisons))](&j)
	}
	for name := range j.place {
		p.counts[name]++
	}
	p.jobs[j.id] = j
	return j
}

// tick is how often the producer puts what is due.
const tick = 10 * time.Millisecond

// start puts jobs until finish.
func (p *producer) start() {
	ctx, cancel := context.WithCancel(p.r.Context())
	p.stop = cancel
	rate := p.r.scenario.rate
	if rate == 0 {
		rate = 400
	}
	least := p.r.scenario.jobs
	if least == 0 {
		least = p.r.times(600, 5000)
	}
	go func() {
		defer close(p.done)
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for put := 0; ctx.Err() == nil || put < least && p.r.Context().Err() == nil; <-ticker.C {
			for range max(1, rate*int(tick/time.Millisecond)/1000) {
				p.putNext()
				put++
			}
		}
	}()
}

// putNext puts a job again and again until Redis says that it has it. Redis may have taken it before, and
// then there are two jobs with this message. Their ids differ, so Redis counts both.
func (p *producer) putNext() {
	j := p.next()
	for ctx := p.r.Context(); ctx.Err() == nil; {
		_, err := conform.RawPut(ctx, p.r.rdb, thoonk.ThoonkPy, j.feed, j.payload)
		if err == nil && p.confirm != nil {
			err = p.confirm(ctx)
		}
		if err == nil {
			p.mu.Lock()
			p.put++
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		p.again[j.id] = true
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // as applications do
		}
	}
}

// finish puts what is missing at the least number of jobs, and ends.
func (p *producer) finish() {
	p.r.Helper()
	p.stop()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.r.Fatal("the producer cannot put its jobs")
	}
}

// find returns the job with this id.
func (p *producer) find(id string) (job, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j, ok := p.jobs[id]
	return j, ok
}

// ids returns the messages of a channel by their numbers.
func (p *producer) ids(channel string) map[int]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := map[int]string{}
	for id, j := range p.jobs {
		if n := j.place[channel]; n > 0 {
			ids[n] = id
		}
	}
	return ids
}

// poisoned returns the jobs of a feed that must stall, by payload.
func (p *producer) poisoned(feed string) map[string]job {
	poisoned := map[string]job{}
	for id := range p.poison {
		if j := p.jobs[id]; j.feed == feed {
			poisoned[j.payload] = j
		}
	}
	return poisoned
}
