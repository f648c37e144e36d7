package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// operator runs pushglue jobs on the feed f.
type operator struct {
	t       *testing.T
	dialect thoonk.Dialect
	rdb     *redis.Client
	worker  conform.RawWorker
	feed    *thoonk.Feed
	env     []string
}

// newOperator starts a Redis.
func newOperator(t *testing.T, d thoonk.Dialect) *operator {
	t.Helper()
	store := service.StartRedis(t)
	rdb := store.Client(t)
	feed, err := thoonk.NewFeed(rdb, "f", d)
	if err != nil {
		t.Fatal(err)
	}
	return &operator{t, d, rdb, conform.NewRawWorker(t, rdb, d, "f"), feed, environment("REDIS_URL="+store.URL(), "DIALECT="+d.String())}
}

// put puts jobs as others do.
func (o *operator) put(payloads ...string) []string {
	o.t.Helper()
	ids, err := conform.RawPut(o.t.Context(), o.rdb, o.dialect, "f", payloads...)
	if err != nil {
		o.t.Fatal(err)
	}
	return ids
}

// claim has the worker claim the next n jobs.
func (o *operator) claim(n int) {
	o.t.Helper()
	for range n {
		if _, found := o.worker.Take(o.worker.Pop()); !found {
			o.t.Fatal("the worker got no job")
		}
	}
}

// age makes jobs look as if they were put, or claimed, so many minutes ago, the next one a minute
// later, and so on.
func (o *operator) age(what string, minutes int, ids ...string) {
	o.t.Helper()
	key := map[thoonk.Dialect]string{thoonk.ThoonkPy: "feed.", thoonk.ThoonkJS: "job."}[o.dialect] + what + ":f"
	for i, id := range ids {
		at := time.Now().Add(time.Duration(i-minutes) * time.Minute)
		if err := o.rdb.ZAdd(o.t.Context(), key, redis.Z{Score: float64(at.UnixMilli()), Member: id}).Err(); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *operator) run(args ...string) (code int, stdout, stderr string) {
	o.t.Helper()
	return invoke(o.t, "", o.env, append([]string{"jobs", "f"}, args...)...)
}

// progressLines are what a slow machine has more of.
var progressLines = regexp.MustCompile(`(?m)^.* so far\n`)

// want runs a command that must print just this and end with this code.
func (o *operator) want(code int, stdout, stderr string, args ...string) {
	o.t.Helper()
	gotCode, gotOut, gotErr := o.run(args...)
	gotErr = progressLines.ReplaceAllString(gotErr, "")
	if gotCode != code || gotOut != stdout || gotErr != stderr {
		o.t.Errorf("%q: exit code %d\n%s%swant %d\n%s%s", args, gotCode, gotOut, gotErr, code, stdout, stderr)
	}
}

// read runs a command with --json and reads what it prints.
func (o *operator) read(into any, args ...string) (code int, stderr string) {
	o.t.Helper()
	code, stdout, stderr := o.run(append(args, "--json")...)
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		o.t.Fatalf("%q: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
	}
	return code, stderr
}

// decode is read of a command that must end with this code.
func (o *operator) decode(into any, want int, args ...string) {
	o.t.Helper()
	if code, stderr := o.read(into, args...); code != want {
		o.t.Fatalf("%q: exit code %d, want %d\n%s", args, code, want, stderr)
	}
}

// listOutput is what list --json prints.
type listOutput struct {
	Feed, State string
	Total       *int
	Jobs        []jobRow
	Listed      int
	More        bool
}

func (o *operator) list(args ...string) listOutput {
	o.t.Helper()
	var l listOutput
	o.decode(&l, 0, append([]string{"list"}, args...)...)
	if l.Listed != len(l.Jobs) || l.Feed != "f" || l.State != args[0] {
		o.t.Errorf("list %q gives %+v", args, l)
	}
	return l
}

func (l *listOutput) ids() []string {
	var ids []string
	for _, row := range l.Jobs {
		ids = append(ids, row.ID)
	}
	return ids
}

func (o *operator) change(code int, args ...string) changeReport {
	o.t.Helper()
	var r changeReport
	o.decode(&r, code, args...)
	return r
}

func (o *operator) wantCounts(want thoonk.Counts) {
	o.t.Helper()
	if got, err := o.feed.Counts(o.t.Context()); err != nil || got != want {
		o.t.Errorf("the feed holds %+v, %v, want %+v", got, err, want)
	}
}

func dialects(t *testing.T, test func(o *operator)) {
	for _, d := range []thoonk.Dialect{thoonk.ThoonkPy, thoonk.ThoonkJS} {
		t.Run(d.String(), func(t *testing.T) { test(newOperator(t, d)) })
	}
}

func TestJobsThroughput(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			if _, err := conform.RawPut(t.Context(), o.rdb, o.dialect, "f", "a"); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var r struct {
		Put, Queued                                  int
		OverSeconds, PutPerSecond, FinishedPerSecond *float64
	}
	eventually(t, "jobs are put while they are counted", func() bool {
		o.decode(&r, 0, "--over", "100ms")
		return *r.PutPerSecond > 0
	})
	stop.Store(true)
	<-done
	if *r.OverSeconds < 0.1 || *r.FinishedPerSecond != 0 {
		t.Errorf("got %f jobs finished a second, over %f s", *r.FinishedPerSecond, *r.OverSeconds)
	}
	if _, stdout, _ := o.run("--over", "1ms"); !regexp.MustCompile(`(?m)^put a second +0\.0 over [\d.]+ms$`).MatchString(stdout) {
		t.Errorf("got\n%s", stdout)
	}
	for _, args := range [][]string{{"--over", "0"}, {"--over", "0", "--json"}} {
		if _, stdout, _ := o.run(args...); strings.Contains(stdout, "econd ") || strings.Contains(stdout, "PerSecond") {
			t.Errorf("%q: got\n%s", args, stdout)
		}
	}
}

func TestJobsList(t *testing.T) {
	dialects(t, func(o *operator) {
		if l := o.list("stalled"); l.Jobs == nil || *l.Total != 0 || l.More {
			o.t.Errorf("of an empty feed, list gives %+v", l)
		}
		ids := o.put("1", "22", "333", "4444", "55555", "666666", "secret")
		o.claim(4)
		o.worker.Stall(ids[0])
		o.worker.Cancel(ids[1])
		o.age("published", 50, ids[1:]...)
		o.age("claimed", 30, ids[2:4]...)
		queued := []string{ids[4], ids[5], ids[6], ids[1]}

		l := o.list("queued")
		if !slices.Equal(l.ids(), queued) || *l.Total != 4 || l.More {
			o.t.Errorf("queued are %+v, want %q", l, queued)
		}
		if last := l.Jobs[3]; *last.Cancelled != 1 || last.Bytes != 2 || last.Put == nil || last.Claim != nil || last.State != "queued" {
			o.t.Errorf("the last one is %+v", last)
		}
		l = o.list("queued", "--limit", "3")
		if !slices.Equal(l.ids(), queued[:3]) || *l.Total != 4 || !l.More {
			o.t.Errorf("queued are %+v, want %q and more", l, queued[:3])
		}
		// A lost job is found by its age.
		lost := o.worker.Pop()
		l = o.list("queued", "--older", "0s", "--limit", "0")
		if want := []string{ids[1], lost, ids[5], ids[6]}; !slices.Equal(l.ids(), want) || l.Total != nil {
			o.t.Errorf("queued and lost are %+v, want %q", l, want)
		}
		if l := o.list("queued", "--older", "47m30s"); !slices.Equal(l.ids(), ids[1:2]) {
			o.t.Errorf("jobs of 47.5 minutes ago are %+v", l)
		}
		l = o.list("claimed")
		if want := ids[2:4]; !slices.Equal(l.ids(), want) || l.Jobs[0].Claim == nil {
			o.t.Errorf("claimed are %+v, want %q", l, want)
		}
		if l := o.list("claimed", "--older", "29m30s"); !slices.Equal(l.ids(), ids[2:3]) || *l.Total != 1 {
			o.t.Errorf("claims of 29.5 minutes ago are %+v", l)
		}
		if l := o.list("stalled"); !slices.Equal(l.ids(), ids[:1]) || l.Jobs[0].Cancelled != nil {
			o.t.Errorf("stalled are %+v", l)
		}

		_, stdout, _ := o.run("list", "queued", "--limit", "2")
		if !regexp.MustCompile(`^ID +PUT +CLAIMED +CANCELLED +BYTES\n\S{32,36}  46m\d+s ago +-        0          6\n.*\n2 of 3 queued jobs; --limit 0 for all\n$`).MatchString(stdout) {
			o.t.Errorf("got\n%s", stdout)
		}
		_, stdout, _ = o.run("list", "queued", "--limit", "2", "--older", "0s")
		if !strings.HasSuffix(stdout, "\n2 queued jobs, and there are more; --limit 0 for all\n") || strings.Contains(stdout, "secret") {
			o.t.Errorf("got\n%s", stdout)
		}
		_, stdout, _ = o.run("list", "stalled")
		if !regexp.MustCompile(`\n` + ids[0] + ` +- +- +- +- +1 +-\n$`).MatchString(stdout) {
			o.t.Errorf("got\n%s", stdout)
		}
		_, stdout, _ = o.run("list", "claimed", "--limit", "1")
		if !regexp.MustCompile(`\n` + ids[2] + `  49m\d+s ago  30m\d+s ago  0 +3\n1 of 2 claimed jobs; --limit 0 for all\n$`).MatchString(stdout) {
			o.t.Errorf("got\n%s", stdout)
		}
	})
}

func TestJobsListMany(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	const total = 5014
	ids, err := o.feed.Put(t.Context(), make([][]byte, total), thoonk.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ := o.run("list", "queued"); !strings.HasSuffix(stdout, "\n100 of 5,014 queued jobs; --limit 0 for all\n") {
		t.Errorf("got\n%s", stdout)
	}
	if l := o.list("queued", "--limit", "0"); !slices.Equal(l.ids(), ids) || l.More {
		t.Errorf("%d jobs are listed, want %d in the order of the queue", l.Listed, total)
	}
	if l := o.list("queued", "--limit", "2500", "--older", "0s"); l.Listed != 2500 || !l.More {
		t.Errorf("%d jobs are listed", l.Listed)
	}
	_, stdout, _ := o.run("list", "queued", "--limit", "0")
	if n := strings.Count(stdout, "\n"); n != total+1 {
		t.Errorf("the table has %d lines", n)
	}
	// Ids are anything: one must not reach the terminal, nor break the JSON.
	if err := o.rdb.HSet(t.Context(), "feed.items:g", "a\x1b[2J\"\n", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := o.rdb.SAdd(t.Context(), "feed.stalled:g", "a\x1b[2J\"\n").Err(); err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ = invoke(t, "", o.env, "jobs", "g", "list", "stalled"); !strings.Contains(stdout, `a\x1b[2J"\n  -`) {
		t.Errorf("got\n%s", stdout)
	}
}

func TestJobsShow(t *testing.T) {
	dialects(t, func(o *operator) {
		payloads := []string{`{"id":1,"text":"<b>ä</b>"}`, "bell \a\x1b[2J\n\ttab\x00", "\xff\xfe", ""}
		ids := o.put(payloads...)
		o.claim(2)
		o.worker.Cancel(ids[0])
		for i, id := range ids {
			var r jobReport
			o.decode(&r, 0, "show", id)
			state := []string{"queued", "claimed", "queued", "queued"}[i]
			if r.ID != id || r.Feed != "f" || r.State != state || r.PutAt == nil || r.Put == nil || r.Bytes != len(payloads[i]) {
				o.t.Errorf("job %d is %+v", i, r)
			}
			if (r.ClaimedAt != nil) != (i == 1) || (r.Claim != nil) != (i == 1) || *r.Cancelled != map[bool]int{true: 1}[i == 0] {
				o.t.Errorf("job %d is %+v", i, r)
			}
			if i == 2 && (string(r.Base64) != payloads[2] || r.Payload != nil) || i != 2 && (r.Payload == nil || *r.Payload != payloads[i]) {
				o.t.Errorf("the payload of job %d is %v, %q", i, r.Payload, r.Base64)
			}
			// No terminal: the payload comes as it is.
			code, stdout, stderr := o.run("show", id)
			if code != 0 || stderr != "" || !strings.HasSuffix(stdout, "\n\n"+payloads[i]+"\n") {
				o.t.Errorf("show: exit code %d\n%q%s", code, stdout, stderr)
			}
		}
		if _, stdout, _ := o.run("show", ids[2], "--json"); !strings.Contains(stdout, `"payloadBase64":"`+base64.StdEncoding.EncodeToString([]byte(payloads[2]))+`"`) {
			o.t.Errorf("got %s", stdout)
		}
		_, stdout, _ := o.run("show", ids[1])
		if !regexp.MustCompile(`^job +\S+\nstate +claimed\nput +\S+ ago, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\nclaimed +\S+ ago, .* UTC\ntimes cancelled +0\nbytes +16\n\nbell`).MatchString(stdout) {
			o.t.Errorf("got\n%s", stdout)
		}
		o.worker.Stall(ids[1])
		_, stdout, _ = o.run("show", ids[1])
		if !regexp.MustCompile(`\nstate +stalled\nput .*\nclaimed +-\ntimes cancelled +-\n`).MatchString(stdout) {
			o.t.Errorf("got\n%s", stdout)
		}
		if _, stdout, _ = o.run("show", ids[1], "--json"); !strings.Contains(stdout, `"cancelled":null`) {
			o.t.Errorf("got %s", stdout)
		}
		o.want(1, "", fmt.Sprintf("pushglue: job %q of feed %q: no such job\n", "nobody", "f"), "show", "nobody")
	})
}
