package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"pushglue/glue/gluetest/service"
)

// promtool runs Prometheus's tool, and fails the test with what it says if it finds something wrong.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path := service.NeedFile(t, "/usr/bin/promtool", "prometheus")
	if text, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%.5000s", strings.Join(args, " "), err, text)
	}
}

// TestPrometheus has promtool read what Prometheus will.
func TestPrometheus(t *testing.T) {
	promtool(t, "check", "config", "prometheus/prometheus.yml")
	promtool(t, "check", "rules", "prometheus/rules.yml")
	promtool(t, "test", "rules", "prometheus/rules_test.yml")
}

// The file that "promtool test rules" reads.
type ruleTests struct {
	RuleFiles          []string   `yaml:"rule_files"`
	EvaluationInterval string     `yaml:"evaluation_interval"`
	Tests              []ruleTest `yaml:"tests"`
}

type ruleTest struct {
	Interval    string        `yaml:"interval"`
	InputSeries []inputSeries `yaml:"input_series"`
	PromQL      []promQLTest  `yaml:"promql_expr_test"`
}

type inputSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type promQLTest struct {
	Expr     string         `yaml:"expr"`
	EvalTime string         `yaml:"eval_time"`
	Samples  []promQLSample `yaml:"exp_samples"`
}

type promQLSample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

// fired is a test that just these alerts have fired by then, ever.
func fired(by time.Duration, alerts ...string) promQLTest {
	p := promQLTest{Expr: `group by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1d]))`, EvalTime: by.String()}
	for _, alert := range slices.Sorted(slices.Values(alerts)) {
		p.Samples = append(p.Samples, promQLSample{`{alertname="` + alert + `"}`, 1})
	}
	return p
}

// shows is a test that an expression has a value.
func shows(at time.Duration, expr string) promQLTest {
	return promQLTest{"group(" + expr + ")", at.String(), []promQLSample{{"{}", 1}}}
}

// check holds a recording against tests.
func (r *recording) check(t *testing.T, tests ...promQLTest) {
	t.Helper()
	rules, err := filepath.Abs("prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	interval := scrapeInterval.String()
	text, err := yaml.Marshal(ruleTests{[]string{rules}, interval, []ruleTest{{interval, r.input(), tests}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "recording_test.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", path)
}
