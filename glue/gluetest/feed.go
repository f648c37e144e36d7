// Package gluetest holds fakes of what pushglue talks to, for unit tests and the demo.
package gluetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pushglue/glue"
)

// Feed is a feed in memory. The zero value is not usable; see NewFeed.
type Feed struct {
	name string

	mu      sync.Mutex
	put     chan struct{} // closed when something is put
	queued  []glue.Job    // next one first
	claimed map[string]glue.Job
	settled map[any]bool               // by their marks, claims that ended
	done    map[string]glue.Settlement // finished and stalled jobs
	order   []string                   // ids of finished jobs
	err     error
	late    error // of the settlements that are applied all the same
	claims  int   // made so far; the last one's mark
}

var _ glue.Feed = (*Feed)(nil)

// NewFeed returns an empty feed.
func NewFeed(name string) *Feed {
	return &Feed{
		name:    name,
		put:     make(chan struct{}),
		claimed: map[string]glue.Job{},
		settled: map[any]bool{},
		done:    map[string]glue.Settlement{},
	}
}

// Put adds a job to the end of the feed.
func (f *Feed) Put(id string, payload []byte) {
	f.PutAll(glue.Job{ID: id, Payload: payload})
}

// PutAll adds jobs to the end of the feed in one step, so that the next claim finds all of them.
func (f *Feed) PutAll(jobs ...glue.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, job := range jobs {
		job.Feed, job.Put = f.name, time.Now()
		f.queued = append(f.queued, job)
	}
	f.wake()
}

// Fail makes Wait, Claim and Settle return err until it is called with nil. It ends every Wait.
func (f *Feed) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.wake()
}

// LoseAnswers makes Settle apply the verdicts and return err, until it is called with nil.
func (f *Feed) LoseAnswers(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = err
}

func (f *Feed) wake() {
	close(f.put)
	f.put = make(chan struct{})
}

// Name implements glue.Feed.
func (f *Feed) Name() string { return f.name }

// Wait implements glue.Feed.
func (f *Feed) Wait(ctx context.Context) error {
	f.mu.Lock()
	put, empty, err := f.put, len(f.queued) == 0, f.err
	f.mu.Unlock()
	if err != nil || !empty {
		return err
	}
	select {
	case <-put:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Claim implements glue.Feed.
func (f *Feed) Claim(_ context.Context, limit int) ([]glue.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	jobs := slices.Clone(f.queued[:min(limit, len(f.queued))])
	f.queued = slices.Delete(f.queued, 0, len(jobs))
	for i := range jobs {
		f.claims++
		jobs[i].Claim, jobs[i].Waited = f.claims, time.Since(jobs[i].Put)
		f.claimed[jobs[i].ID] = jobs[i]
	}
	return jobs, nil
}

// Settle implements glue.Feed.
func (f *Feed) Settle(_ context.Context, settlements []glue.Settlement) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	var released []glue.Job
	for _, s := range settlements {
		job, ok := f.claimed[s.JobID]
		switch {
		case f.settled[s.Claim]:
			continue // it is repeated
		case !ok || job.Claim != s.Claim:
			return errors.New("this claim does not stand") // stricter than the contract, to find engine errors
		}
		f.settled[s.Claim] = true
		delete(f.claimed, s.JobID)
		switch s.Verdict {
		case glue.Finish:
			f.done[s.JobID] = s
			f.order = append(f.order, s.JobID)
		case glue.Stall:
			f.done[s.JobID] = s
		case glue.Cancel:
			job.Cancelled++
			f.queued = append(f.queued, job)
		case glue.Release:
			released = append(released, job)
		}
	}
	f.queued = append(released, f.queued...)
	f.wake()
	return f.late
}

// State is what a Feed holds at one moment.
type State struct {
	Queued   []string // ids, next one first
	Claimed  int
	Finished []string                   // ids in the order of settlement
	Done     map[string]glue.Settlement // of finished and stalled jobs
}

// State returns what the feed holds.
func (f *Feed) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{Claimed: len(f.claimed), Finished: slices.Clone(f.order), Done: map[string]glue.Settlement{}}
	for _, job := range f.queued {
		s.Queued = append(s.Queued, job.ID)
	}
	for id, settlement := range f.done {
		s.Done[id] = settlement
	}
	return s
}
