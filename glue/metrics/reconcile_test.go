package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/push"
	"pushglue/glue/thoonk"
)

// said returns a sample of feed f, when the ledger has finished and in flight these jobs and does not move, and Redis counts these.
func said(finished, inFlight int64, counts thoonk.Counts) sample {
	sums := glue.FeedSums{Name: "f", Claimed: finished + inFlight, Finished: finished, InFlight: inFlight}
	return sample{feeds: []feedSample{{name: "f", ledger: bounds{sums, sums}, counts: counts}}}
}

// moving is said by a ledger that finishes jobs while Redis is asked.
func moving(s sample, finish int64) sample {
	s.feeds[0].ledger.after.Finished += finish
	s.feeds[0].ledger.after.InFlight -= finish
	return s
}

func reported(accepted, sent, published int64) sample {
	h := push.HostReport{HostStatus: push.HostStatus{Name: "h"}, Ready: true, Accepted: accepted, Sent: sent}
	h.Published = published
	return sample{hosts: []push.HostReport{h}}
}

func TestCompare(t *testing.T) {
	unanswered := said(9, 0, thoonk.Counts{})
	unanswered.feeds[0].err = errors.New("away")
	unready := reported(9, 9, 0)
	unready.hosts[0].Ready = false
	for name, test := range map[string]struct {
		samples []sample
		want    []string // check, ours, theirs, after the last sample
	}{
		"nothing was said":              {[]sample{{}}, nil},
		"others finished before":        {[]sample{said(0, 0, thoonk.Counts{Finished: 50}), said(10, 0, thoonk.Counts{Finished: 60})}, nil},
		"others finish as well":         {[]sample{said(0, 0, thoonk.Counts{}), said(10, 0, thoonk.Counts{Finished: 30})}, nil},
		"finished twice":                {[]sample{said(0, 0, thoonk.Counts{}), said(10, 0, thoonk.Counts{Finished: 9})}, []string{"finished 10 9"}},
		"finished twice, before":        {[]sample{said(0, 0, thoonk.Counts{}), said(10, 0, thoonk.Counts{Finished: 9}), said(12, 0, thoonk.Counts{Finished: 11})}, nil},
		"finished twice, and again":     {[]sample{said(0, 0, thoonk.Counts{}), said(10, 0, thoonk.Counts{Finished: 9}), said(12, 0, thoonk.Counts{Finished: 10})}, []string{"finished 2 1"}},
		"finished in Redis, in flight":  {[]sample{said(0, 10, thoonk.Counts{Finished: 10}), said(10, 0, thoonk.Counts{Finished: 10})}, nil},
		"finishes while Redis is asked": {[]sample{said(0, 0, thoonk.Counts{}), moving(said(5, 5, thoonk.Counts{Finished: 7, Claimed: 3}), 5)}, nil},
		"Redis has forgotten":           {[]sample{said(0, 0, thoonk.Counts{Finished: 50}), said(10, 0, thoonk.Counts{Finished: 3}), said(11, 0, thoonk.Counts{Finished: 4})}, nil},
		"Redis does not answer":         {[]sample{said(0, 0, thoonk.Counts{}), unanswered}, nil},
		"claims taken away":             {[]sample{said(0, 0, thoonk.Counts{}), said(0, 5, thoonk.Counts{Claimed: 2}), said(0, 5, thoonk.Counts{Claimed: 2})}, []string{"claimed 5 2"}},
		"claims just settled":           {[]sample{said(0, 0, thoonk.Counts{}), said(0, 5, thoonk.Counts{Claimed: 2}), said(3, 2, thoonk.Counts{Claimed: 2, Finished: 3})}, nil},
		"others claim as well":          {[]sample{said(0, 5, thoonk.Counts{Claimed: 9}), said(0, 5, thoonk.Counts{Claimed: 9})}, nil},
		"lost":                          {[]sample{said(0, 0, thoonk.Counts{Lost: 3}), said(0, 0, thoonk.Counts{Lost: 2})}, []string{"lost 0 2"}},
		"lost for a moment":             {[]sample{said(0, 0, thoonk.Counts{Lost: 3}), said(0, 0, thoonk.Counts{})}, nil},
		"a host counts channels":        {[]sample{reported(0, 0, 70), reported(10, 10, 100)}, nil},
		"a host does not publish":       {[]sample{reported(0, 0, 70), reported(10, 10, 79)}, []string{"published 10 9"}},
		"requests were on their way":    {[]sample{reported(5, 8, 78), reported(10, 10, 80)}, nil},
		"a host restarted":              {[]sample{reported(0, 0, 70), reported(10, 10, 4), reported(12, 12, 6)}, nil},
		"a host restarted unseen":       {[]sample{reported(0, 0, 7), reported(10, 10, 8), reported(12, 12, 10)}, nil},
		"a host is another one":         {[]sample{reported(50, 50, 70), {}, reported(60, 60, 72)}, nil},
		"a host is not ready":           {[]sample{reported(0, 0, 70), unready}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccounts()
			var got []string
			for _, s := range test.samples {
				got = nil
				for _, d := range a.compare(glue.Sums{}, s) {
					got = append(got, fmt.Sprintf("%s %d %d", d.Check, d.Ours, d.Theirs))
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestALedgerThatDoesNotBalance(t *testing.T) {
	a := newAccounts()
	got := a.compare(glue.Sums{Feeds: []glue.FeedSums{{Name: "f", Claimed: 2, Finished: 1}}}, sample{})
	if len(got) != 1 || got[0].Check != CheckLedger || !strings.Contains(got[0].Text, "feed f: 2 in, 1 accounted for") {
		t.Errorf("got %+v", got)
	}
}

func TestDiscrepanciesAreToldOnce(t *testing.T) {
	var log strings.Builder
	lost := []Discrepancy{{Check: CheckLost, Name: "f", Theirs: 3, Text: "lost"}}
	for _, step := range []struct{ before, now []Discrepancy }{{nil, lost}, {lost, lost}, {lost, nil}, {nil, nil}} {
		report(zerolog.New(&log), step.before, step.now)
	}
	want := `{"level":"warn","check":"lost","name":"f","ours":0,"theirs":3,"message":"lost"}
{"level":"info","check":"lost","name":"f","message":"the counts agree again"}
`
	if log.String() != want {
		t.Errorf("got %s", &log)
	}
}
