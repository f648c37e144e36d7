package monitoring

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what the tests read of Grafana's.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string     `json:"name"`
			Datasource datasource `json:"datasource"`
			Definition string     `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
	Targets []target                 `json:"targets"`
}

type target struct {
	Datasource datasource `json:"datasource"`
	Expr       string     `json:"expr"`
}

type datasource struct {
	UID string `json:"uid"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("grafana/dashboards/pushglue.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// variables are what Grafana has in their places when all feeds and push hosts are shown.
var variables = strings.NewReplacer("$__rate_interval", "1m", "$feed", ".*", "$host", ".*")

// queries returns the expressions of all panels, as Grafana sends them.
func (d dashboard) queries() (list []string) {
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			list = append(list, variables.Replace(q.Expr))
		}
	}
	return list
}

const chosen = "${datasource}"

// TestDashboard holds the form of the dashboard against what Grafana and its readers need. What it shows, TestHealthy asks.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the id of another one", p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.Datasource.UID != chosen || len(p.Targets) == 0 {
			t.Errorf("panel %q has no description, no query, or a data source of its own", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != chosen {
				t.Errorf("panel %q asks another data source", p.Title)
			}
			if want := unitOf(q.Expr); want != p.FieldConfig.Defaults.Unit {
				t.Errorf("panel %q has the unit %q, and shows %q: %s", p.Title, p.FieldConfig.Defaults.Unit, want, q.Expr)
			}
		}
	}
	for i, p := range d.Panels {
		for _, o := range d.Panels[:i] {
			a, b := p.GridPos, o.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panel %q lies on %q", p.Title, o.Title)
			}
		}
	}
	names := []string{}
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Definition != "" && v.Datasource.UID != chosen {
			t.Errorf("variable %s asks another data source", v.Name)
		}
	}
	if want := []string{"datasource", "feed", "host"}; !slices.Equal(names, want) {
		t.Errorf("variables %v, want %v", names, want)
	}
}

// unitOf returns the unit of what a query gives, in Grafana's words.
func unitOf(expr string) string {
	switch {
	case strings.Contains(expr, ") / "), strings.Contains(expr, "cpu_seconds"):
		return "percentunit"
	case strings.Contains(expr, "histogram_quantile"):
		return "s"
	case strings.Contains(expr, "rate("):
		return "cps"
	case strings.Contains(expr, "_bytes"):
		return "bytes"
	case strings.Contains(expr, "_seconds"):
		return "s"
	}
	return "short"
}

var metricNames = regexp.MustCompile(`\b(pushglue|process|go)_\w+|\bup\b`)

// metricsOf returns the metrics that expressions name.
func metricsOf(exprs ...string) []string {
	names := metricNames.FindAllString(strings.Join(exprs, "\n"), -1)
	slices.Sort(names)
	return slices.Compact(names)
}
