package main

import (
	"fmt"
	"io"
	"time"

	"pushglue/glue"
)

// vigilReport is what became of all jobs that were put.
type vigilReport struct {
	Feed     string         `json:"feed"`
	Put      int            `json:"put"`
	Outcomes map[string]int `json:"outcomes"` // outcome -> how many jobs
	P50      *float64       `json:"p50Ms"`    // from put to the outcome; null if nobody told
	P99      *float64       `json:"p99Ms"`
	Jobs     []jobOutcome   `json:"jobs"`
}

// maxOutcomeLines is up to how many jobs have a line each. With more there is a summary, and a line for each of the first
// that went wrong.
const maxOutcomeLines = 20

func (r *vigilReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, r)
	}
	lines := 0
	for i := range r.Jobs {
		o := &r.Jobs[i]
		if lines < maxOutcomeLines && (len(r.Jobs) <= maxOutcomeLines || o.isWrong()) {
			lines++
			fmt.Fprintf(w, "%s  %s\n", o.Job, o)
		}
	}
	if len(r.Jobs) <= maxOutcomeLines {
		return nil
	}
	_, err := fmt.Fprintf(w, "put %s on feed %s:", number(r.Put, "job"), r.Feed)
	separator := " "
	for _, outcome := range []string{glue.OutcomePublished, glue.OutcomeDropped, outcomeResult, outcomeGone, outcomeStalled, outcomeOpen} {
		if n := r.Outcomes[outcome]; n > 0 {
			fmt.Fprintf(w, "%s%s %s", separator, thousands(n), outcome)
			separator = ", "
		}
	}
	if r.P50 != nil {
		fmt.Fprintf(w, "; half of them within %.1f ms, 99 %% within %.1f ms", *r.P50, *r.P99)
	}
	fmt.Fprintln(w)
	return err
}

func (o *jobOutcome) isWrong() bool {
	return o.Outcome.Outcome == outcomeStalled || o.Outcome.Outcome == outcomeOpen
}

// String tells people what became of the job.
func (o *jobOutcome) String() string {
	switch o.Outcome.Outcome {
	case glue.OutcomePublished:
		return fmt.Sprintf("published: %s to %s on %s in %.1f ms",
			number(o.Messages, "message"), number(o.Channels, "channel"), number(o.Hosts, "push host"), o.MS)
	case glue.OutcomeDropped:
		return fmt.Sprintf("dropped by a stage in %.1f ms", o.MS)
	case outcomeResult:
		return "finished by another worker: " + printable([]byte(o.Result))
	case outcomeGone:
		return "gone: another worker finished it without a result, or somebody retracted it"
	case outcomeStalled:
		if o.Reason == nil {
			return "stalled by another worker"
		}
		return "stalled: " + printable([]byte(o.Reason.String()))
	}
	return "not done yet"
}

// failure is an error if a job stalled or is not done.
func (r *vigilReport) failure(limit time.Duration) error {
	stalled, open := r.Outcomes[outcomeStalled], r.Outcomes[outcomeOpen]
	switch {
	case stalled > 0 && open > 0:
		return fmt.Errorf("%s stalled, and %d not done in %s", number(stalled, "job"), open, limit)
	case stalled > 0:
		return fmt.Errorf("%s stalled", number(stalled, "job"))
	case open > 0:
		return fmt.Errorf("%s not done in %s", number(open, "job"), limit)
	}
	return nil
}
