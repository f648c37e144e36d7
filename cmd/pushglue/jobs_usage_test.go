package main

import (
	"strings"
	"testing"

	"pushglue/glue/thoonk"
)

func TestJobsUsage(t *testing.T) {
	env := environment("REDIS_URL=redis://" + nobody(t))
	for args, want := range map[string]string{
		"f lsit":                         `pushglue jobs FEED: unknown command "lsit"; did you mean list?`,
		"f ret":                          `pushglue jobs FEED: unknown command "ret"; did you mean retract or retry?`,
		"f delete":                       `pushglue jobs FEED: unknown command "delete"; there are cancel, list, retract, retry, show`,
		"f help lsit":                    `pushglue jobs FEED help: unknown command "lsit"; did you mean list?`,
		"f --fast":                       `pushglue jobs FEED: unknown flag: --fast`,
		"f --over -1s":                   `pushglue jobs FEED: --over is less than 0s`,
		"f --over 1":                     `pushglue jobs FEED: --over: "1" is no duration such as 500ms, 5s or 2m`,
		"list stalled":                   `pushglue jobs FEED: the feed comes first, as in: pushglue jobs FEED list; there is "list" in its place`,
		"retry --all":                    `pushglue jobs FEED: the feed comes first, as in: pushglue jobs FEED retry; there is "retry" in its place`,
		"list list":                      `pushglue jobs FEED list: STATE is missing: one of queued, claimed, stalled`,
		"f list":                         `pushglue jobs FEED list: STATE is missing: one of queued, claimed, stalled`,
		"f list queued x":                `pushglue jobs FEED list: takes STATE alone, and got "x" too`,
		"f list --limit abc queued":      `pushglue jobs FEED list: --limit: "abc" is no whole number`,
		"f list lost":                    `pushglue jobs FEED list: "lost" is no state of a job: it is queued, claimed or stalled`,
		"f list queued --older -5m":      `pushglue jobs FEED list: --older is less than 0s`,
		"f list queued --limit -1":       `pushglue jobs FEED list: --limit is less than 0`,
		"f list queued --over 1s":        `pushglue jobs FEED list: unknown flag: --over`,
		"f show":                         `pushglue jobs FEED show: ID is missing`,
		"f show a b":                     `pushglue jobs FEED show: takes ID alone, and got "b" too`,
		"f retry":                        `pushglue jobs FEED retry: give the ids of jobs, or --all`,
		"f retry --all x":                `pushglue jobs FEED retry: give ids or --all, not both`,
		"f retry --all":                  `pushglue jobs FEED retry: standard input is no terminal, so there is nobody to ask: give --yes to retry all`,
		"f cancel --all":                 `pushglue jobs FEED cancel: standard input is no terminal, so there is nobody to ask: give --yes to cancel all`,
		"f cancel x --older 5m":          `pushglue jobs FEED cancel: --older is for --all`,
		"f cancel --all --older -1s":     `pushglue jobs FEED cancel: --older is less than 0s`,
		"f retract --all":                `pushglue jobs FEED retract: --all needs a --state: queued, claimed or stalled`,
		"f retract --all --state x":      `pushglue jobs FEED retract: "x" is no state of a job: it is queued, claimed or stalled`,
		"f retract x --state lost":       `pushglue jobs FEED retract: "lost" is no state of a job: it is queued, claimed or stalled`,
		"f retract --all --state queued": `pushglue jobs FEED retract: standard input is no terminal, so there is nobody to ask: give --yes to retract all`,
	} {
		code, stdout, stderr := invoke(t, "y\n", env, strings.Fields("jobs "+args)...)
		path, _, _ := strings.Cut(want, ":")
		if code != 2 || stdout != "" || stderr != want+"\nTry: "+path+" --help\n" {
			t.Errorf("jobs %s: exit code %d\n%s%swant\n%s", args, code, stdout, stderr, want)
		}
	}
	code, _, stderr := invoke(t, "", env, "jobs", "f", "list", "queued")
	if code != 1 || !strings.Contains(stderr, "connection refused") {
		t.Errorf("without Redis: exit code %d: %s", code, stderr)
	}
}

func TestJobsHelp(t *testing.T) {
	for args, want := range map[string]string{
		"jobs --help":           "  pushglue jobs FEED [flags]\n  pushglue jobs FEED [command]\n",
		"jobs -h":               "  pushglue jobs FEED [flags]\n",
		"help jobs":             "  pushglue jobs FEED [flags]\n",
		"help jobs f":           "  pushglue jobs FEED [flags]\n",
		"help jobs f list":      "  pushglue jobs FEED list STATE [flags]\n",
		"jobs list --help":      "  pushglue jobs FEED [flags]\n",
		"jobs f --help":         "  pushglue jobs FEED [flags]\n  pushglue jobs FEED [command]\n",
		"jobs f list --help":    "  pushglue jobs FEED list STATE [flags]\n",
		"jobs f help list":      "  pushglue jobs FEED list STATE [flags]\n",
		"jobs f show -h":        "  pushglue jobs FEED show ID [flags]\n",
		"jobs f retry --help":   "  pushglue jobs FEED retry ID… | --all [flags]\n",
		"jobs f cancel --help":  "  pushglue jobs FEED cancel ID… | --all [--older AGE] [flags]\n",
		"jobs f retract --help": "  pushglue jobs FEED retract ID… [--state STATE] | --all --state STATE [flags]\n",
	} {
		code, stdout, stderr := invoke(t, "", environment(), strings.Fields(args)...)
		if code != 0 || !strings.Contains(stdout, "\nUsage:\n"+want) || stderr != "" {
			t.Errorf("%s: exit code %d\n%s%swant\n%s", args, code, stdout, stderr, want)
		}
	}
}

// TestJobsOfNothing asks for a feed on which nothing was ever put.
func TestJobsOfNothing(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	const warning = "warning: nothing was ever put on feed f; look at its name, at PUSHGLUE_DIALECT, and at the database in PUSHGLUE_REDIS_URL\n"
	o.want(0, "no queued jobs\n", warning, "list", "queued")
	o.want(0, "retried 0 jobs\n", warning, "retry", "--all", "--yes")
	o.want(0, "cancelled 0 jobs\n", warning, "cancel", "--all", "--yes")
	o.want(0, "retracted 0 jobs\n", warning, "retract", "--all", "--state", "queued", "--yes")
	o.want(1, "", warning+"pushglue: job \"x\" of feed \"f\": no such job\n", "show", "x")
	for _, args := range [][]string{{"--over", "0"}, {"--over", "0", "--json"}} {
		if code, stdout, stderr := o.run(args...); code != 0 || !strings.Contains(stdout, "finished") || stderr != warning {
			t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	_, stdout, stderr := invoke(t, "", o.env, "jobs", "list", "--over", "0")
	if !strings.Contains(stdout, "feed list") || stderr != "warning: nothing was ever put on feed list; the feed comes first, as in: pushglue jobs FEED list; there is \"list\" in its place\n" {
		t.Errorf("got\n%s%s", stdout, stderr)
	}
	ids := o.put("1")
	o.want(0, "retracted 1 job\n", "", "retract", ids[0])
	o.want(0, "no queued jobs\n", "", "list", "queued")
}
