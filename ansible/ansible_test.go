// Package ansible_test holds the playbooks to their rules, and applies them to fresh machines.
package ansible_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"pushglue/glue/gluetest/service"
)

// TestLint has ansible-lint look at everything, and ansible-playbook at each playbook.
func TestLint(t *testing.T) {
	t.Parallel()
	service.Need(t, "ansible-lint")
	service.NeedFile(t, "/usr/bin/ansible-playbook", "ansible")
	touch(t, ".")
	home := t.TempDir()
	run := func(name string, args ...string) {
		command := exec.Command(name, args...)
		command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "ANSIBLE_HOME="+home)
		if text, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	run("ansible-lint", "--nocolor")
	playbooks, err := filepath.Glob("*.yml")
	if err != nil || len(playbooks) == 0 {
		t.Fatal("no playbooks", err)
	}
	run("ansible-playbook", append([]string{"--syntax-check"}, playbooks...)...)
}

// spec is a role's meta/argument_specs.yml.
type spec struct {
	Entries map[string]struct {
		Options map[string]struct {
			Description string
			Type        string
		}
	} `yaml:"argument_specs"`
}

// read reads a YAML file into v, of which a role need not have each.
func read(t *testing.T, path string, v any) (text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(b)
}

// TestVariablesAreDocumented holds that each variable of a role is in its argument_specs, begins with the role's name, and that
// a comment stands above each default, or above the defaults that belong together.
func TestVariablesAreDocumented(t *testing.T) {
	t.Parallel()
	roles, err := filepath.Glob("roles/*")
	if err != nil || len(roles) == 0 {
		t.Fatal("no roles", err)
	}
	known := map[string]bool{}
	for _, role := range roles {
		var s spec
		read(t, role+"/meta/argument_specs.yml", &s)
		if len(s.Entries) == 0 {
			t.Errorf("%s has no argument_specs", role)
		}
		specified := map[string]bool{}
		for entry, e := range s.Entries {
			for name, option := range e.Options {
				specified[name], known[name] = true, true
				if option.Description == "" || option.Type == "" {
					t.Errorf("%s, %s: %s has no description or no type", role, entry, name)
				}
			}
		}
		var defaults map[string]any
		text := read(t, role+"/defaults/main.yml", &defaults)
		for name := range defaults {
			if !specified[name] {
				t.Errorf("%s: %s has a default, and is not in argument_specs", role, name)
			}
			if !strings.HasPrefix(name, filepath.Base(role)+"_") {
				t.Errorf("%s: %s does not begin with the role's name", role, name)
			}
			if !documented(text, name) {
				t.Errorf("%s: %s has no comment in defaults/main.yml", role, name)
			}
		}
	}
	for _, name := range printed(t) {
		if !known[name] {
			t.Errorf("pushglue capacity --ansible prints %s, which is in no argument_specs", name)
		}
	}
}

// documented reports whether a comment stands above a variable's paragraph.
func documented(text, name string) bool {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.Contains("\n"+paragraph, "\n"+name+":") {
			return strings.HasPrefix(paragraph, "# ") || strings.Contains(paragraph, "\n# ")
		}
	}
	return false
}

// printed returns the variables that pushglue capacity prints.
func printed(t *testing.T) []string {
	t.Helper()
	text := execute(t, exec.Command(binary(t), "capacity", "--readers", "500000", "--memory", "8g", "--ansible"))
	var variables map[string]any
	if err := yaml.Unmarshal([]byte(text), &variables); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, value := range variables {
		names = append(names, name)
		if fmt.Sprint(value) == "" {
			t.Errorf("pushglue capacity --ansible prints nothing for %s", name)
		}
	}
	if len(names) == 0 {
		t.Fatal("pushglue capacity --ansible prints nothing")
	}
	slices.Sort(names)
	return names
}

// directive begins a line of an nginx configuration that has one.
var directive = regexp.MustCompile(`(?m)^ *([a-z_]+) .*[;{]$`)

// TestTemplatesKeepUp holds that each template has all directives of the file of nginx/ that it takes the place of.
func TestTemplatesKeepUp(t *testing.T) {
	t.Parallel()
	templates, err := filepath.Glob("roles/push_host/templates/*/*.conf.j2")
	if err != nil || len(templates) == 0 {
		t.Fatal("no templates", err)
	}
	for _, path := range templates {
		template, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "roles/push_host/templates/"), ".j2")
		shipped, err := os.ReadFile("../nginx/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := directive.FindAllSubmatch(shipped, -1)
		if len(found) == 0 {
			t.Errorf("%s has no directives", name)
		}
		for _, d := range found {
			if !regexp.MustCompile(`(?m)^ *` + string(d[1]) + ` `).Match(template) {
				t.Errorf("nginx/%s has %s, and its template does not", name, d[1])
			}
		}
	}
}
