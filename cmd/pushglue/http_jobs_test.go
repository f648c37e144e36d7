package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/live"
	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/metrics"
	"pushglue/glue/push"
	"pushglue/glue/thoonk"
)

// newAnswers returns what a daemon without pipelines answers with.
func newAnswers(t *testing.T, token string, hosts *push.Publisher, feeds ...*thoonk.Feed) answers {
	t.Helper()
	ledger := new(glue.Ledger)
	numbers := measure(config{MetricsInterval: time.Hour}, metrics.Sources{Ledger: ledger, Hosts: hosts}, zerolog.Nop())
	t.Cleanup(numbers.end)
	return answers{
		own: "glue1", token: token, ledger: ledger, feeds: feeds, hosts: hosts, numbers: numbers, log: zerolog.Nop(),
		panel: live.New(live.Config{Ledger: ledger, Log: new(live.Log), Counting: live.Count(nil, nil), Changes: token != ""}),
	}
}

// TestJobsAreChangedWithAToken, and by nobody else.
func TestJobsAreChangedWithAToken(t *testing.T) {
	rdb := service.StartRedis(t).Client(t)
	feed, err := thoonk.NewFeed(rdb, "comments", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	const jsonType, bearer = "application/json", "Bearer " + operatorsToken
	order := func(action string, ids ...string) string {
		text, err := json.Marshal(jobsOrder{"comments", action, ids})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for what, test := range map[string]struct {
		token, authorization, kind, host, action string
		body                                     string // in the place of an order for the job
		code                                     int
		want                                     string
	}{
		"retry":               {operatorsToken, bearer, jsonType, "127.0.0.1:9070", "retry", "", 200, `"command":"retry","changed":1,"refused":[],"complete":true`},
		"retract":             {operatorsToken, "bearer  " + operatorsToken, jsonType + "; charset=utf-8", "localhost", "retract", "", 200, `"command":"retract","changed":1`},
		"no token set":        {"", bearer, jsonType, "127.0.0.1", "retry", "", 403, "the daemon has no PUSHGLUE_HTTP_TOKEN"},
		"no token set, empty": {"", "Bearer ", jsonType, "127.0.0.1", "retry", "", 403, "the daemon has no PUSHGLUE_HTTP_TOKEN"},
		"no token given":      {operatorsToken, "", jsonType, "127.0.0.1", "retry", "", 401, "this needs the daemon's PUSHGLUE_HTTP_TOKEN"},
		"a wrong token":       {operatorsToken, bearer + "x", jsonType, "127.0.0.1", "retry", "", 401, "this needs"},
		"a shorter token":     {operatorsToken, bearer[:len(bearer)-1], jsonType, "127.0.0.1", "retry", "", 401, "this needs"},
		"another scheme":      {operatorsToken, "Basic " + operatorsToken, jsonType, "127.0.0.1", "retry", "", 401, "this needs"},
		"another name":        {operatorsToken, bearer, jsonType, "evil.example", "retry", "", 421, "ask by address"},
		"a form":              {operatorsToken, bearer, "text/plain", "127.0.0.1", "retry", "", 415, "want Content-Type"},
		"another action":      {operatorsToken, bearer, jsonType, "127.0.0.1", "cancel", "", 400, `action is \"cancel\"`},
		"no ids":              {operatorsToken, bearer, jsonType, "127.0.0.1", "", order("retry"), 400, "there are 0 ids; want 1 to 100"},
		"too many ids":        {operatorsToken, bearer, jsonType, "127.0.0.1", "", order("retry", make([]string, 101)...), 400, "there are 101 ids"},
		"more behind":         {operatorsToken, bearer, jsonType, "127.0.0.1", "", order("retry", "a") + "{}", 400, "there is more behind it"},
		"an unknown member":   {operatorsToken, bearer, jsonType, "127.0.0.1", "", `{"feed":"comments","action":"retry","ids":["a"],"all":true}`, 400, "want {"},
		"no JSON":             {operatorsToken, bearer, jsonType, "127.0.0.1", "", "feed=comments", 400, "want {"},
		"a body of 1 MiB":     {operatorsToken, bearer, jsonType, "127.0.0.1", "", `{"feed":"` + strings.Repeat("x", 1<<20), 400, "want {"},
		"an unknown feed":     {operatorsToken, bearer, jsonType, "127.0.0.1", "", `{"feed":"orders","action":"retry","ids":["a"]}`, 404, `no feed \"orders\"`},
		"an unknown job":      {operatorsToken, bearer, jsonType, "127.0.0.1", "", order("retract", "none"), 200, `"changed":0,"refused":[{"id":"none","state":null}]`},
	} {
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		ids := stallOn(t, feed, "{}")
		body := test.body
		if body == "" {
			body = order(test.action, ids...)
		}
		r := httptest.NewRequest("POST", "/jobs", strings.NewReader(body))
		r.Host = test.host
		r.Header.Set("Content-Type", test.kind)
		r.Header.Set("Authorization", test.authorization)
		w := httptest.NewRecorder()
		newAnswers(t, test.token, nil, feed).handler().ServeHTTP(w, r)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) || (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
		entries, err := feed.Describe(t.Context(), ids...)
		isStalled := err == nil && len(entries) == 1 && entries[0].State == thoonk.Stalled
		if isChanged := what == "retry" || what == "retract"; err != nil || isStalled == isChanged {
			t.Errorf("%s: it is %+v, %v", what, entries, err)
		}
	}
}

// TestARetryNeedsAStalledJob: a queued one keeps its place.
func TestARetryNeedsAStalledJob(t *testing.T) {
	store := service.StartRedis(t)
	feed := putOn(t, store, `{"id":1}`)
	ids, err := feed.Put(t.Context(), [][]byte{[]byte("{}")}, thoonk.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"retry", "retract"} {
		r := httptest.NewRequest("POST", "/jobs", strings.NewReader(fmt.Sprintf(`{"feed":"f","action":%q,"ids":[%q]}`, action, ids[0])))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+operatorsToken)
		w := httptest.NewRecorder()
		newAnswers(t, operatorsToken, nil, feed).handler().ServeHTTP(w, r)
		if want := fmt.Sprintf(`"changed":0,"refused":[{"id":%q,"state":"queued"}]`, ids[0]); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", action, w.Code, w.Body)
		}
	}
	if counts, err := feed.Counts(t.Context()); err != nil || counts.Queued != 2 {
		t.Errorf("%+v, %v", counts, err)
	}
}

// TestRolesNeedTheToken, if there is one; "pushglue hosts" shows it.
func TestRolesNeedTheToken(t *testing.T) {
	workdir(t, goodPipelines)
	gone := nobody(t)
	writeHosts(t, "http://"+gone)
	f := startFleet(t, "HTTP_TOKEN="+operatorsToken)
	for token, code := range map[string]int{"": 1, "HTTP_TOKEN=" + operatorsToken + "x": 1, "HTTP_TOKEN=" + operatorsToken: 0, "HTTP_TOKEN_FILE=" + writeSecret(t, operatorsToken): 0} {
		env := environment("HTTP_ADDR=" + f.addr)
		if token != "" {
			env = append(env, "PUSHGLUE_"+token)
		}
		got, out, errs := invoke(t, "", env, "hosts", "out", gone)
		if got != code || code == 1 && errs != "pushglue: this needs the daemon's PUSHGLUE_HTTP_TOKEN\n" {
			t.Errorf("%s: exit code %d: %s%s", token, got, out, errs)
		}
		if code, out, _ := invoke(t, "", environment("HTTP_ADDR="+f.addr), "hosts"); code != 0 || !strings.Contains(out, gone) {
			t.Errorf("to look needs a token: %s", out)
		}
	}
}

// TestThePageIsServed to who asks by address, with what it may do.
func TestThePageIsServed(t *testing.T) {
	for path, test := range map[string]struct {
		host string
		code int
		want string
	}{
		"/":            {"127.0.0.1:9070", 200, "<title>pushglue</title>"},
		"/main.js":     {"127.0.0.1:9070", 200, "showFeeds"},
		"/house.css":   {"127.0.0.1:9070", 200, "prefers-contrast"},
		"/status":      {"127.0.0.1:9070", 200, `"changes":true`},
		"/jobs":        {"127.0.0.1:9070", 404, "not found"},
		"/no/such":     {"127.0.0.1:9070", 404, "not found"},
		"/?name":       {"evil.example", 421, "ask by address"},
		"/status?name": {"evil.example", 421, "ask by address"},
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		newAnswers(t, operatorsToken, nil).handler().ServeHTTP(w, r)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if csp := w.Header().Get("Content-Security-Policy"); w.Code != 421 && !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ") {
			t.Errorf("%s: its policy is %q", path, csp)
		}
	}
}
