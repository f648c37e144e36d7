package stages_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
)

func TestExpire(t *testing.T) {
	const divert = `{after: 10m, divert: [late, "late:{forum}"]}`
	for name, test := range map[string]struct {
		options string
		waited  time.Duration
		payload string
		want    string // channels
		err     string
	}{
		"young":            {`after: 10m`, 9 * time.Minute, `{}`, "all", ""},
		"as old as may be": {`after: 10m`, 10 * time.Minute, `{}`, "all", ""},
		"old":              {`after: 10m`, 10*time.Minute + 1, `{}`, "", "dropped: its job waited longer than 10m0s"},
		"of a fast clock":  {`after: 10m`, -time.Hour, `{}`, "all", ""},
		"divert, young":    {divert, time.Second, `{"forum":"news"}`, "all", ""},
		"divert, old":      {divert, time.Hour, `{"forum":"news"}`, "late,late:news", ""},
		"divert, skip":     {divert, time.Hour, `{}`, "late", ""},
		"divert, nowhere":  {`{after: 1s, divert: ["{forum}"]}`, time.Hour, `{}`, "", "dropped: it has no channel"},
		"divert, invalid":  {divert, time.Hour, `{"forum":"a/b"}`, "", `"late:{forum}": channel name contains '/'`},
	} {
		t.Run(name, func(t *testing.T) {
			m := glue.NewMessage("job1", []byte(test.payload))
			m.Job = &glue.Job{Waited: test.waited}
			for _, stage := range []glue.Stage{mustBuild(t, "json", ""), mustBuild(t, "route", `channels: [all]`)} {
				if err := stage.Process(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			err := mustBuild(t, "expire", test.options).Process(t.Context(), m)
			if test.err == "" {
				if got := strings.Join(m.Channels, ","); err != nil || got != test.want {
					t.Errorf("it goes to %s, %v, want %s", got, err, test.want)
				}
				return
			}
			if err == nil || err.Error() != test.err || errors.Is(err, glue.ErrDrop) == glue.IsPermanent(err) {
				t.Errorf("got the error %v, want %s", err, test.err)
			}
		})
	}
}

func TestAMessageOfNoJobIsNotLate(t *testing.T) {
	if err := mustBuild(t, "expire", `after: 1ns`).Process(t.Context(), glue.NewMessage("1", nil)); err != nil {
		t.Errorf("got %v", err)
	}
}

// TestPartsAreAsOldAsTheirJob splits a job before its messages are looked at.
func TestPartsAreAsOldAsTheirJob(t *testing.T) {
	p := glue.Pipeline{Stages: []glue.NamedStage{
		{Name: "json", Stage: mustBuild(t, "json", "")},
		{Name: "split", Stage: mustBuild(t, "split", `jq: '.a, .b'`)},
		{Name: "expire", Stage: mustBuild(t, "expire", `after: 10m`)},
	}}
	for waited, want := range map[time.Duration]int{time.Minute: 2, time.Hour: 0} {
		messages, err := p.Transform(t.Context(), glue.Job{ID: "job1", Payload: []byte(`{"a":{},"b":{}}`), Waited: waited})
		if err != nil || len(messages) != want {
			t.Errorf("after %s: %d messages, %v, want %d", waited, len(messages), err, want)
		}
	}
}

func TestExpireRefuses(t *testing.T) {
	refuse(t, "expire", map[string]string{
		``:                            "after: say how long a job may wait, such as 10m",
		`after: soon`:                 `after: "soon" is no duration such as 90s or 10m`,
		`after: 0s`:                   "after: 0s is not more than 0s",
		`{after: 1m, divert: []}`:     "divert: name at least one",
		`{after: 1m, divert: [a/b]}`:  `divert: "a/b": channel name contains '/'`,
		`{after: 1m, divert: ["{a"]}`: `divert: "{a": braces do not pair`,
	})
}
