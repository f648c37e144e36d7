package glue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// TestFailuresDoNotFloodTheLog: a thousand jobs fail in one way, two in other ways, and then forty in as many ways.
func TestFailuresDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: new(gluetest.Publisher), Stages: []glue.NamedStage{{Name: "s", Stage: stage(func(m *glue.Message) error {
			switch {
			case m.ID == "odd":
				panic("what it was")
			case strings.HasPrefix(m.ID, "own"):
				return glue.Permanent(errors.New("fails as " + m.ID))
			}
			return glue.Permanent(errors.New("fails"))
		})}}})
		e.put(names(1000)...)
		e.put("odd", "own")
		time.Sleep(11 * time.Second)
		var own []string
		for i := range 40 {
			own = append(own, fmt.Sprintf("own%d", i))
		}
		e.put(own...)
		e.put(names(2)...)
		synctest.Wait()
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		lines := loud(e)
		var last struct {
			Repeats int    `json:"repeats"`
			Error   string `json:"error"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 4+1+20+1 || !strings.Contains(lines[4], `"repeats":999,`) || last.Repeats != 22 || last.Error != "of other kinds" || last.Message != "job failed again" {
			t.Errorf("%d lines are logged, the last one is %+v, %v", len(lines), last, err)
		}
	})
}

// loud returns, at the end, the lines of the log that the daemon has by default.
func loud(e *engine) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(e.log.String()), "\n"), func(line string) bool { return strings.Contains(line, `"level":"debug"`) })
}

// TestRepeatsAreCounted: when the time is over, and at the end.
func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: new(gluetest.Publisher), Stages: []glue.NamedStage{{Name: "s", Stage: stage(func(*glue.Message) error {
			return glue.Permanent(errors.New("fails"))
		})}}})
		e.put(names(300)...)
		time.Sleep(11 * time.Second)
		e.put(names(3)...)
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"repeats":299,"pipeline":"p","error":"stage s: fails","verdict":"stall","message":"job failed again"`, `"repeats":2,`} {
			if !strings.Contains(e.log.String(), want) {
				t.Errorf("no %s in\n%s", want, strings.Join(loud(e), "\n"))
			}
		}
	})
}
