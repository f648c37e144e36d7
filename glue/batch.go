package glue

import (
	"errors"
	"iter"
	"slices"
	"time"
)

// batch is what is claimed, transformed, published and settled together. One goroutine at a
// time owns it.
type batch struct {
	jobs []Job
	seqs []uint64 // by job: its place in the order of claims
	runs []run    // one for each pipeline of the transformer, in its order
}

// run is the way of one batch through one pipeline.
type run struct {
	pipeline *Pipeline
	failures []error   // by job: errUntried at first, later what a stage said; nil when all passed it on or dropped it
	sendings []sending // the messages that the stages made, in the order of the jobs
	alone    bool      // each message goes out by itself, though the pipeline coalesces

	// Of what was published last.
	start, end time.Time
	hosts      []Answer // to one of the messages that are traced
}

// sending is one message on its way to the publisher.
type sending struct {
	job     int
	message *Message
	outcome error // the publisher's last one
	open    bool  // it is to be published
}

// errUntried is the outcome of a job that no stage has seen yet.
var errUntried = errors.New("not tried")

func newBatch(jobs []Job, firstSeq uint64, pipelines []*Pipeline) *batch {
	b := &batch{jobs: jobs, seqs: make([]uint64, len(jobs)), runs: make([]run, len(pipelines))}
	for i := range b.seqs {
		b.seqs[i] = firstSeq + uint64(i)
	}
	for i, p := range pipelines {
		b.runs[i] = run{pipeline: p, failures: slices.Repeat([]error{errUntried}, len(jobs))}
	}
	return b
}

// isTemporary reports whether an outcome may be another one at the next attempt.
func isTemporary(err error) bool {
	return err != nil && !IsPermanent(err)
}

// untransformed returns the jobs that lack the messages of some pipeline.
func (b *batch) untransformed() []int {
	var todo []int
	for i := range b.jobs {
		if slices.ContainsFunc(b.runs, func(r run) bool { return isTemporary(r.failures[i]) }) {
			todo = append(todo, i)
		}
	}
	return todo
}

// judgement is the verdict on a job, with the pipeline whose failure it is and the error.
type judgement struct {
	verdict  Verdict
	pipeline *Pipeline
	reason   error
}

// judge folds the outcomes in all pipelines into a verdict on each job. It is Cancel as long as
// one of them failed for now.
func (b *batch) judge() []judgement {
	verdicts := make([]judgement, len(b.jobs))
	for i := range verdicts {
		verdicts[i].verdict = Finish
	}
	for r := range b.runs {
		run := &b.runs[r]
		for i, err := range run.failures {
			verdicts[i].weigh(run.pipeline, err)
		}
		for _, s := range run.sendings {
			verdicts[s.job].weigh(run.pipeline, s.outcome)
		}
	}
	return verdicts
}

// weigh takes one more outcome into account. The first of the worst kind counts.
func (j *judgement) weigh(p *Pipeline, err error) {
	switch {
	case isTemporary(err) && j.verdict != Cancel:
		*j = judgement{Cancel, p, err}
	case IsPermanent(err) && j.verdict == Finish:
		*j = judgement{Stall, p, err}
	}
}

// take moves the jobs with some judgements out of b into a batch of their own; nil if there are none.
func (b *batch) take(some func(judgement) bool) *batch {
	var taken, left []int
	for i, j := range b.judge() {
		if some(j) {
			taken = append(taken, i)
		} else {
			left = append(left, i)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	t := b.pick(taken)
	*b = *b.pick(left)
	return t
}

// What a batch's jobs are told apart by when it was published.
func failedForNow(j judgement) bool { return j.verdict == Cancel }
func waits(j judgement) bool        { return errors.Is(j.reason, ErrUnavailable) }

// pick returns a batch of the jobs at the given places.
func (b *batch) pick(places []int) *batch {
	p := &batch{runs: make([]run, len(b.runs))}
	to := slices.Repeat([]int{-1}, len(b.jobs))
	for n, i := range places {
		to[i] = n
		p.jobs = append(p.jobs, b.jobs[i])
		p.seqs = append(p.seqs, b.seqs[i])
	}
	for r := range b.runs {
		from := &b.runs[r]
		p.runs[r] = run{pipeline: from.pipeline, start: from.start, end: from.end, hosts: from.hosts}
		for _, i := range places {
			p.runs[r].failures = append(p.runs[r].failures, from.failures[i])
		}
		for _, s := range from.sendings {
			if s.job = to[s.job]; s.job >= 0 {
				p.runs[r].sendings = append(p.runs[r].sendings, s)
			}
		}
	}
	return p
}

// merge adds the jobs of next, which was claimed behind b, to those of b.
func (b *batch) merge(next *batch) {
	shift := len(b.jobs)
	b.jobs = append(b.jobs, next.jobs...)
	b.seqs = append(b.seqs, next.seqs...)
	for r := range b.runs {
		to, from := &b.runs[r], &next.runs[r]
		to.failures = append(to.failures, from.failures...)
		to.start, to.end, to.hosts = from.start, from.end, from.hosts
		for _, s := range from.sendings {
			s.job += shift
			to.sendings = append(to.sendings, s)
		}
	}
}

// apart keeps the messages of b from being coalesced: one of them may be why all have failed.
func (b *batch) apart() {
	for r := range b.runs {
		b.runs[r].alone = true
	}
}

// giveUp makes ErrUnavailable the outcome of all open messages of b, which nobody tries.
func (b *batch) giveUp() {
	for r := range b.runs {
		for s := range b.runs[r].open() {
			s.outcome = ErrUnavailable
		}
	}
}

// unavailable returns the outcome of the first message of b that waits because its publisher has
// nobody to take it; nil if none does.
func (b *batch) unavailable() error {
	for r := range b.runs {
		for s := range b.runs[r].open() {
			if errors.Is(s.outcome, ErrUnavailable) {
				return s.outcome
			}
		}
	}
	return nil
}

// published returns the messages of r that were published.
func (r *run) published() []*Message {
	var list []*Message
	for i := range r.sendings {
		if s := &r.sendings[i]; !s.open && s.outcome == nil {
			list = append(list, s.message)
		}
	}
	return list
}

// open returns the messages of r that are to be published.
func (r *run) open() iter.Seq[*sending] {
	return func(yield func(*sending) bool) {
		for i := range r.sendings {
			if r.sendings[i].open && !yield(&r.sendings[i]) {
				return
			}
		}
	}
}

// bookReturned enters the messages of b that are still open as returned: their jobs are settled.
func (b *batch) bookReturned(ledger *Ledger) {
	for r := range b.runs {
		b.runs[r].bookReturned(ledger)
	}
}

func (r *run) bookReturned(ledger *Ledger) {
	var open int64
	for range r.open() {
		open++
	}
	if open > 0 {
		ledger.AddPipeline(PipelineSums{Name: r.pipeline.Name, Publish: PublishSums{Returned: open, InFlight: -open}})
	}
}

// failed returns how many outcomes of r are failures, and the first of them.
func (r *run) failed() (count int, first error) {
	note := func(err error) {
		if err == nil {
			return
		}
		if count++; first == nil {
			first = err
		}
	}
	for _, err := range r.failures {
		note(err)
	}
	for _, s := range r.sendings {
		note(s.outcome)
	}
	return count, first
}
