package monitoring

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"pushglue/glue/gluetest/service"
)

// elsewhere are the metrics that a module does not have.
var elsewhere = map[string][]string{
	service.Nchan:      {"pushglue_host_worker_readers"},
	service.PushStream: {"pushglue_host_shared_memory_bytes", "pushglue_host_shared_memory_limit_bytes"},
}

// TestHealthy runs a daemon under load for half an hour of Prometheus's time: no alert fires, each query of the dashboard shows something,
// and there is every metric that rules, dashboard and docs/operations.md name.
func TestHealthy(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, module, nil)
			s.read(s.one, "forum:f1", 60)
			s.read(s.two, "forum:f1", 60)
			s.watch(30*minute, s.load)

			lacks := func(expr string) bool {
				return slices.ContainsFunc(elsewhere[module], func(name string) bool { return strings.Contains(expr, name) })
			}
			dash := readDashboard(t)
			tests := []promQLTest{fired(s.now())}
			for _, query := range dash.queries() {
				if !lacks(query) {
					tests = append(tests, shows(s.now(), query))
				}
			}
			s.check(t, tests...)

			there := s.metrics()
			guide, err := os.ReadFile("../docs/operations.md")
			if err != nil {
				t.Fatal(err)
			}
			named := append(dash.queries(), string(guide))
			for _, v := range dash.Templating.List {
				named = append(named, v.Definition)
			}
			for _, r := range readRules(t) {
				named = append(named, r.Expr)
			}
			for _, name := range metricsOf(named...) {
				if !there[name] && !lacks(name) {
					t.Errorf("the daemon has no metric %s", name)
				}
			}
		})
	}
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readRules(t *testing.T) (list []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, "prometheus/rules.yml", &file)
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
