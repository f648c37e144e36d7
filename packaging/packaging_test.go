// Package packaging_test holds the packages' files against each other; `make release` makes packages, and installs one.
package packaging_test

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// generated is where a release puts what it makes: `pushglue generate`.
const generated = "artifacts/generated"

// TestReleasesHaveWhatTheyName looks for each file that the configuration of goreleaser names.
func TestReleasesHaveWhatTheyName(t *testing.T) {
	var configuration any
	if err := yaml.Unmarshal(read(t, "../.goreleaser.yml"), &configuration); err != nil {
		t.Fatal(err)
	}
	names := paths(configuration)
	if len(names) < 20 {
		t.Fatalf("it finds only %q", names)
	}
	for _, name := range names {
		// Go's patterns have no **.
		found, err := filepath.Glob(filepath.Join("..", strings.ReplaceAll(name, "/**/", "/")))
		if err != nil || len(found) == 0 && !strings.HasPrefix(name, generated) {
			t.Errorf("there is no %s", name)
		}
	}
}

// paths returns the files of this tree that a value of the configuration names.
func paths(value any) (list []string) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			list = append(list, paths(element)...)
		}
	case map[string]any:
		for key, member := range v {
			text, isText := member.(string)
			switch {
			case isText && (key == "src" || strings.HasPrefix(key, "post") || strings.HasPrefix(key, "pre")):
				list = append(list, text)
			case key == "files":
				for _, file := range member.([]any) {
					if name, is := file.(string); is {
						list = append(list, name)
					}
				}
				fallthrough
			default:
				list = append(list, paths(member)...)
			}
		}
	}
	return list
}

// TestLinksOfPackagesLeadSomewhere follows the links of the documents that a package and an archive have to files that they have too.
func TestLinksOfPackagesLeadSomewhere(t *testing.T) {
	var configuration struct {
		Archives []struct{ Files []any }
		NFPMs    []struct {
			Contents []struct{ Src, Dst, Type string }
		} `yaml:"nfpms"`
	}
	if err := yaml.Unmarshal(read(t, "../.goreleaser.yml"), &configuration); err != nil {
		t.Fatal(err)
	}
	var archive, installed []string // patterns of this tree, whose directories stand for all that is in them
	for _, file := range configuration.Archives[0].Files {
		if pattern, is := file.(string); is {
			archive = append(archive, pattern)
		}
	}
	for _, content := range configuration.NFPMs[0].Contents {
		if dst, is := strings.CutPrefix(content.Dst, "/usr/share/doc/pushglue/"); is {
			installed = append(installed, cmp.Or(dst, content.Src))
		}
	}
	for name, patterns := range map[string][]string{"an archive": archive, "a package": installed} {
		links := 0
		for path, targets := range documentLinks(t) {
			if !has(patterns, path) {
				continue
			}
			links += len(targets)
			for _, target := range targets {
				if !has(patterns, target) {
					t.Errorf("%s links to %s, which %s does not have", path, target, name)
				}
			}
		}
		if links < 100 {
			t.Errorf("%s has only %d links", name, links)
		}
	}
}

// has reports whether one of the patterns stands for a file or a directory of this tree.
func has(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		is, err := filepath.Match(pattern, path)
		return err == nil && is || strings.HasPrefix(path, pattern+"/")
	})
}

// documentLinks returns the files of this tree to which each Markdown file of it links.
func documentLinks(t *testing.T) map[string][]string {
	t.Helper()
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	links := map[string][]string{}
	if err := fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		for _, match := range link.FindAllStringSubmatch(string(read(t, filepath.Join("..", path))), -1) {
			links[path] = append(links[path], filepath.Join(filepath.Dir(path), match[1]))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return links
}

// TestPackagesMakeTheKeysThatTheEnvironmentNames holds the script behind an installation against the environment that comes with it.
func TestPackagesMakeTheKeysThatTheEnvironmentNames(t *testing.T) {
	environment := string(read(t, "../cmd/pushglue/starter/environment"))
	var want []string
	for _, match := range regexp.MustCompile(`(?m)^(\w+)_FILE=/etc/pushglue/secrets/(\w+)$`).FindAllStringSubmatch(environment, -1) {
		want = append(want, match[2])
	}
	slices.Sort(want)
	loop := regexp.MustCompile(`(?m)^for key in (.*); do$`).FindSubmatch(read(t, "postinstall.sh"))
	if len(loop) == 0 || !slices.Equal(strings.Fields(string(loop[1])), want) {
		t.Errorf("it makes %q, and the environment names %q", loop, want)
	}
}

// TestPackagesGoWhereThereIsNoSystemd removes one from a machine that has no more of systemd than systemd-standalone-sysusers.
func TestPackagesGoWhereThereIsNoSystemd(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), shell, "preremove.sh", "remove")
	cmd.Env = []string{"PATH=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestScriptsAreWellFormed(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, script := range scripts {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}
