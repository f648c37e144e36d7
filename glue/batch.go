package glue

import "errors"

// batch is what is claimed, transformed, published and settled together. One goroutine at a
// time owns it.
type batch struct {
	jobs []Job
	seqs []uint64 // by job: its place in the order of claims
	runs []run    // one for each pipeline of the feed; without the shadows once they are published
}

// run is the way of one batch through one pipeline.
type run struct {
	pipeline *Pipeline
	messages []*Message // by job; nil when the stages did not pass one on
	outcomes []error    // by job: of its last stage, or of the publisher
	open     []int      // jobs whose message is to be published, in order
}

func newBatch(jobs []Job, firstSeq uint64, pipelines []*Pipeline) *batch {
	b := &batch{jobs: jobs, seqs: make([]uint64, len(jobs)), runs: make([]run, len(pipelines))}
	for i := range b.seqs {
		b.seqs[i] = firstSeq + uint64(i)
	}
	for i, p := range pipelines {
		b.runs[i] = newRun(p, len(jobs))
	}
	return b
}

func newRun(p *Pipeline, jobs int) run {
	return run{pipeline: p, messages: make([]*Message, jobs), outcomes: make([]error, jobs), open: make([]int, 0, jobs)}
}

// isTemporary reports whether an outcome may be another one at the next attempt.
func isTemporary(err error) bool {
	return err != nil && !errors.Is(err, ErrDrop) && !IsPermanent(err)
}

// takeShadows removes the shadow pipelines from b, so that nothing of them can change a verdict.
func (b *batch) takeShadows() []run {
	var shadows, others []run
	for _, r := range b.runs {
		if r.pipeline.Shadow {
			shadows = append(shadows, r)
		} else {
			others = append(others, r)
		}
	}
	b.runs = others
	return shadows
}

// verdict folds the outcomes of job i in all pipelines into the verdict on the job.
// It is Cancel as long as one of them failed for now.
func (b *batch) verdict(i int) (Verdict, *Pipeline, error) {
	verdict, pipeline, reason := Finish, (*Pipeline)(nil), error(nil)
	for r := range b.runs {
		run := &b.runs[r]
		err := run.outcomes[i]
		switch {
		case isTemporary(err):
			return Cancel, run.pipeline, err
		case IsPermanent(err) && verdict == Finish:
			verdict, pipeline, reason = Stall, run.pipeline, err
		}
	}
	return verdict, pipeline, reason
}

// split moves the jobs that failed for now out of b into a batch of their own; nil if there are none.
func (b *batch) split() *batch {
	var now, later []int
	for i := range b.jobs {
		if v, _, _ := b.verdict(i); v == Cancel {
			later = append(later, i)
		} else {
			now = append(now, i)
		}
	}
	if len(later) == 0 {
		return nil
	}
	failed := b.pick(later)
	*b = *b.pick(now)
	return failed
}

// pick returns a batch of the jobs at the given places. What failed for now is open in it.
func (b *batch) pick(places []int) *batch {
	p := &batch{runs: make([]run, len(b.runs))}
	for _, i := range places {
		p.jobs = append(p.jobs, b.jobs[i])
		p.seqs = append(p.seqs, b.seqs[i])
	}
	for r := range b.runs {
		from := &b.runs[r]
		to := newRun(from.pipeline, 0)
		for n, i := range places {
			to.messages = append(to.messages, from.messages[i])
			to.outcomes = append(to.outcomes, from.outcomes[i])
			if from.messages[i] != nil && isTemporary(from.outcomes[i]) {
				to.open = append(to.open, n)
			}
		}
		p.runs[r] = to
	}
	return p
}

// giveUp makes ErrUnavailable the outcome of all open messages of b, which nobody tries.
func (b *batch) giveUp() {
	for r := range b.runs {
		run := &b.runs[r]
		for _, i := range run.open {
			run.outcomes[i] = ErrUnavailable
		}
	}
}

// unavailable returns the outcome of the first message of b that waits because its publisher has
// nobody to take it; nil if none does.
func (b *batch) unavailable() error {
	for r := range b.runs {
		run := &b.runs[r]
		for _, i := range run.open {
			if errors.Is(run.outcomes[i], ErrUnavailable) {
				return run.outcomes[i]
			}
		}
	}
	return nil
}

// bookReturned enters the messages of b that are still open as returned: their jobs are settled.
func (b *batch) bookReturned(ledger *Ledger) {
	for r := range b.runs {
		b.runs[r].bookReturned(ledger)
	}
}

func (r *run) bookReturned(ledger *Ledger) {
	if open := int64(len(r.open)); open > 0 {
		ledger.AddPipeline(PipelineSums{Name: r.pipeline.Name, Publish: PublishSums{Returned: open, InFlight: -open}})
	}
}

// failures returns how many jobs of r failed, and the first one's error.
func (r *run) failures() (failed int, first error) {
	for _, err := range r.outcomes {
		if err == nil || errors.Is(err, ErrDrop) {
			continue
		}
		if failed++; failed == 1 {
			first = err
		}
	}
	return failed, first
}
