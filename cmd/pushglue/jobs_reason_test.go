package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

// stallFor stalls the next job as the daemon does.
func (o *operator) stallFor(r *glue.Reason) string {
	o.t.Helper()
	jobs, err := o.feed.Claim(o.t.Context(), 1)
	if err != nil || len(jobs) != 1 {
		o.t.Fatal(jobs, err)
	}
	s := glue.Settlement{JobID: jobs[0].ID, Claim: jobs[0].Claim, Verdict: glue.Stall, Reason: r}
	if err := o.feed.Settle(o.t.Context(), []glue.Settlement{s}); err != nil {
		o.t.Fatal(err)
	}
	return jobs[0].ID
}

func TestJobsTellWhyTheyStalled(t *testing.T) {
	dialects(t, func(o *operator) {
		o.put("1", "2", "3", "4")
		atHost := o.stallFor(&glue.Reason{Pipeline: "comments", Host: "http://h:9080", Error: "host http://h:9080: answered\t413\n", Attempts: 3})
		inStage := o.stallFor(&glue.Reason{Pipeline: "archive", Error: "stage json: JSON ends early", Attempts: 1})
		o.claim(1)
		l := o.list("claimed")
		claimed := l.ids()
		o.worker.Stall(claimed[0])

		_, stdout, _ := o.run("list", "stalled")
		lines := strings.Split(stdout, "\n")
		slices.Sort(lines[1:])
		for _, want := range []string{
			`^ID +STALLED +PIPELINE +HOST +ATTEMPTS +BYTES +ERROR$`,
			`(?m)^` + atHost + ` +\S+ ago +comments +http://h:9080 +3 +1 +host http://h:9080: answered\\t413\\n$`,
			`(?m)^` + inStage + ` +\S+ ago +archive +- +1 +1 +stage json: JSON ends early$`,
			`(?m)^` + claimed[0] + ` +- +- +- +- +1 +-$`,
		} {
			if !regexp.MustCompile(want).MatchString(strings.Join(lines, "\n")) && !regexp.MustCompile(want).MatchString(lines[0]) {
				o.t.Errorf("no %s in\n%s", want, stdout)
			}
		}
		for _, row := range o.list("stalled").Jobs {
			if (row.Reason == nil) != (row.ID == claimed[0]) || (row.Stalled == nil) != (row.ID == claimed[0]) {
				o.t.Errorf("row is %+v", row)
			}
			if row.ID == atHost && (row.Reason.Host != "http://h:9080" || row.Reason.Attempts != 3) {
				o.t.Errorf("reason is %+v", row.Reason)
			}
		}
		if l := o.list("stalled", "--older", "0s"); len(l.Jobs) != 2 || l.Total != nil {
			o.t.Errorf("stalled longer ago than 0s are %+v", l)
		}
		o.want(0, "no stalled jobs\n", "", "list", "stalled", "--older", "1h")

		_, stdout, _ = o.run("show", atHost)
		if !regexp.MustCompile(`\nbytes +1\nstalled +\S+ ago, .* UTC\npipeline +comments\nhost +http://h:9080\nattempts +3\nerror +host http://h:9080: answered\\t413\\n\n\n1\n$`).MatchString(stdout) {
			o.t.Errorf("got\n%s", stdout)
		}
		_, stdout, _ = o.run("show", claimed[0])
		if !strings.Contains(stdout, "\nstalled          -\npipeline         -\n") {
			o.t.Errorf("got\n%s", stdout)
		}
		var r jobReport
		o.decode(&r, 0, "show", inStage)
		if r.Reason == nil || *r.Reason != (glue.Reason{Pipeline: "archive", Error: "stage json: JSON ends early", Attempts: 1}) || r.StalledAt == nil || time.Since(*r.StalledAt) < 0 {
			o.t.Errorf("got %+v", r)
		}
		o.change(0, "retry", atHost)
		_, stdout, _ = o.run("show", atHost)
		if strings.Contains(stdout, "413") || o.list("queued").Jobs[0].State != thoonk.Queued.String() {
			o.t.Errorf("got\n%s", stdout)
		}
	})
}
