package stages_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pushglue/glue"
)

func TestDarktime(t *testing.T) {
	ann := `{"id":"1","site":"example.org","n":17,"author":{"id":7}}`
	in := message{ID: "1", Body: ann}
	check(t, "darktime", map[string]example{
		"all":                {`percent: 100`, ann, in, ""},
		"nobody":             {`percent: 0`, ann, message{}, "dropped: not in the share"},
		"all, by a value":    {`{percent: 100, by: author.id}`, ann, in, ""},
		"missing value":      {`{percent: 100, by: author.name}`, ann, message{}, "dropped: it has no author.name"},
		"null":               {`{percent: 100, by: a}`, `{"a":null}`, message{}, "dropped: it has no a"},
		"empty":              {`{percent: 100, by: a}`, `{"a":""}`, message{}, "dropped: it has no a"},
		"object":             {`{percent: 100, by: author}`, ann, message{}, "by: author is an object, not text"},
		"site":               {`{sites: [example.com, example.org], by: site}`, ann, in, ""},
		"another site":       {`{sites: [example.com], by: site}`, ann, message{}, "dropped: not in the share"},
		"site, no value":     {`{sites: [example.com], by: gone}`, ann, message{}, "dropped: it has no gone"},
		"site, array":        {`{sites: [a], by: list}`, `{"list":["a"]}`, message{}, "by: list is an array, not text"},
		"number as the site": {`{sites: ["17"], by: n}`, ann, in, ""},
	})
}

func TestDarktimeRefuses(t *testing.T) {
	const which = "give either percent or sites"
	refuse(t, "darktime", map[string]string{
		``:                                which,
		`{percent: 1, sites: [a], by: a}`: which,
		`percent: 101`:                    "percent: 101 is not between 0 and 100",
		`percent: -1`:                     "percent: -1 is not between 0 and 100",
		`percent: .nan`:                   "percent: NaN is not between 0 and 100",
		`{percent: 1, by: a..b}`:          `by: "a..b": path has an empty name in it`,
		`sites: [a]`:                      "by: name the path whose value is the site",
		`{sites: [], by: a}`:              "sites: name at least one",
		`{sites: [010], by: a}`:           "sites: 8 is not a text; put it in quotes",
		`{sites: [""], by: a}`:            "sites:  is not a text; put it in quotes",
	})
}

// isIn reports whether a darktime stage passes a message with this id.
func isIn(t *testing.T, stage glue.Stage, id string) bool {
	t.Helper()
	err := stage.Process(context.Background(), glue.NewMessage(id, nil))
	if err != nil && !errors.Is(err, glue.ErrDrop) {
		t.Fatal(err)
	}
	return err == nil
}

func TestWhoIsInStaysIn(t *testing.T) {
	const ids = 100_000
	percents := []float64{0, 0.5, 1, 10, 12.5, 20, 50, 99, 100}
	counts := make([]int, len(percents))
	stages := make([]glue.Stage, len(percents))
	for i, percent := range percents {
		stages[i] = mustBuild(t, "darktime", fmt.Sprintf("percent: %v", percent))
	}
	for n := range ids {
		id, before := fmt.Sprintf("c%d", n), false
		for i, stage := range stages {
			in := isIn(t, stage, id)
			if before && !in {
				t.Fatalf("%s is in at %v %% and not at %v %%", id, percents[i-1], percents[i])
			}
			if before = in; in {
				counts[i]++
			}
		}
	}
	for i, percent := range percents {
		if got := float64(counts[i]) / ids * 100; got < percent-1 || got > percent+1 || percent == 0 && counts[i] > 0 || percent == 100 && counts[i] < ids {
			t.Errorf("%v %% of the ids are in, want %v", got, percent)
		}
	}
}

// The shares are the same on every machine and in every version. `printf c1001.1 | sha256sum`
// begins with 39afd123, which is 22.534 % of the way.
func TestTheShareIsThatOfSHA256(t *testing.T) {
	for percent, want := range map[string]bool{"22.53": false, "22.54": true} {
		if got := isIn(t, mustBuild(t, "darktime", "percent: "+percent), "c1001.1"); got != want {
			t.Errorf("at %s %%: %v", percent, got)
		}
	}
}
