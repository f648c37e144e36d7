package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// onPath makes the test binary behave as pushglue under that name, for shells with the environment that is returned.
func onPath(t *testing.T) []string {
	t.Helper()
	binary, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(directory, "pushglue")); err != nil {
		t.Fatal(err)
	}
	return append(environment(), "PATH="+directory+":"+os.Getenv("PATH"))
}

// shell runs a script in the working directory, which must succeed, and returns what it prints on both outputs.
func shell(t *testing.T, env []string, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// told returns the commands that a text has, which are indented by two spaces, in the blocks in which they stand.
func told(text string) (blocks []string) {
	for _, block := range strings.Split(text, "\n\n") {
		if strings.HasPrefix(block, "  ") {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// TestInit does what init says comes next, in a directory whose name needs quotes: first with nothing else running, then with
// a Redis and a push host, which the environment file names.
func TestInit(t *testing.T) {
	env := onPath(t)
	directory := filepath.Join(t.TempDir(), "a first $try")
	code, stdout, stderr := invoke(t, "", env, "init", directory)
	blocks := told(stdout)
	if code != 0 || stderr != "" || len(blocks) != 3 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}

	got := shell(t, env, blocks[0])
	for _, want := range []string{"pipelines.yml is good:\n", "  = c1.3  post_delete  to push forum:news, thread:17, post:1\n", "3 jobs: 3 messages to publish, 0 dropped, 0 failed\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nprints\n%s\nnot %q", blocks[0], got, want)
		}
	}
	if strings.Contains(got, "warning") {
		t.Error(got)
	}

	store, host := service.StartRedis(t), service.StartNginx(t, service.Nchan)
	path := filepath.Join(directory, "environment")
	text := strings.NewReplacer(
		"redis://127.0.0.1:6379/0", store.URL(), "http://127.0.0.1:9080", host.InternalURL(), "127.0.0.1:9070", nobody(t),
	).Replace(read(t, path))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load, check, _ := strings.Cut(blocks[0], "\n")
	_, put, _ := strings.Cut(blocks[2], "\n")
	connect, run, _ := strings.Cut(blocks[1], "\n")
	if strings.TrimSpace(run) != "pushglue run" {
		t.Fatalf("it says %q", run)
	}
	got = shell(t, env, load+"\n"+check+"\n"+connect)
	if !strings.Contains(got, "redis answers\n") {
		t.Error(got)
	}
	service.StartDaemon(t, env, "sh", "-euc", load+"\nexec "+strings.TrimSpace(run))
	if got := shell(t, env, load+"\n"+put); strings.Count(got, "  published: 1 message to 3 channels on 1 push host in ") != 3 {
		t.Errorf("%s prints\n%s", put, got)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestInitKeepsWhatIsThere calls it twice.
func TestInitKeepsWhatIsThere(t *testing.T) {
	t.Chdir(t.TempDir())
	if code, _, stderr := invoke(t, "", environment(), "init"); code != 0 {
		t.Fatal(stderr)
	}
	keys := map[string]string{}
	for _, name := range starterKeys {
		path := filepath.Join("secrets", name)
		keys[path] = read(t, path)
		if !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(keys[path]) {
			t.Errorf("%s is no key", path)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	if keys["secrets/"+starterKeys[0]] == keys["secrets/"+starterKeys[1]] {
		t.Error("two keys are the same")
	}
	written := read(t, "pipelines.yml")
	if err := os.WriteFile("pipelines.yml", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}

	code, stdout, stderr := invoke(t, "", environment(), "init", ".")
	if code != 1 || stdout != "" || !regexp.MustCompile(`^pushglue: nothing was written, since these are there: /.*/pipelines.yml, /.*/environment, /.*/jobs.jsonl; choose another directory, or overwrite them with --force\n$`).MatchString(stderr) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if got := read(t, "pipelines.yml"); got != "mine" {
		t.Error("it wrote over pipelines.yml")
	}

	code, stdout, stderr = invoke(t, "", environment(), "init", "--force")
	if code != 0 || read(t, "pipelines.yml") != written {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for path, key := range keys {
		if read(t, path) != key {
			t.Errorf("it wrote over %s", path)
		}
		if strings.Contains(stdout, strings.TrimSpace(key)) {
			t.Errorf("it prints %s", path)
		}
	}
}

func TestInitRefusesAQuote(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, stderr := invoke(t, "", environment(), "init", "it's")
	if code != 2 || !strings.Contains(stderr, "has a quote or a control character in it") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if entries, err := os.ReadDir("."); len(entries) > 0 || err != nil {
		t.Errorf("it made %v, %v", entries, err)
	}
}

// TestTheStarter holds what init writes against the settings that there are: what it says are defaults are the defaults.
func TestTheStarter(t *testing.T) {
	defaults := map[string]string{}
	for _, s := range settings() {
		defaults[s.name] = s.value
	}
	var keys []string
	for _, match := range regexp.MustCompile(`(?m)^(#?)(PUSHGLUE_\w+)=(.*)$`).FindAllStringSubmatch(read(t, "starter/environment"), -1) {
		off, name, value := match[1] == "#", match[2], match[3]
		if key, is := strings.CutSuffix(name, "_FILE"); is {
			keys = append(keys, key)
			if want := packagedDirectory + "/secrets/" + key; value != want {
				t.Errorf("%s is %s, not %s", name, value, want)
			}
			continue
		}
		value = strings.TrimPrefix(value, packagedDirectory+"/")
		if want, is := defaults[name]; !is || !off && value != want {
			t.Errorf("%s is %q, not %q", name, value, want)
		}
	}
	slices.Sort(keys)
	if !slices.Equal(keys, starterKeys) {
		t.Errorf("the environment names the keys %v, and there are %v", keys, starterKeys)
	}
}

// TestTheStartersOtherPipelines takes the signs away that keep some pipelines of the starter from being read.
func TestTheStartersOtherPipelines(t *testing.T) {
	all := regexp.MustCompile(`(?m)^ {2}#([- ] )`).ReplaceAllString(read(t, "starter/pipelines.yml"), "  $1")
	workdir(t, all)
	code, stdout, stderr := invoke(t, "", environment("ANONYMIZE_KEY="+strings.Repeat("k", 32)), "check")
	const want = `pipelines.yml is good:
feed comments
  ┬─ json ─ anonymize ┬─ sanitize ─ route ─ format ─► push   comments
  │                   └─► file                               archive
  └─ json ─ darktime ─ darkesttime ─► push                   next (shadow)
`
	if code != 0 || stdout != want {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
}

// TestTheStarterIsEmbedded finds no file there that init leaves out.
func TestTheStarterIsEmbedded(t *testing.T) {
	b := beginning{directory: "/x"}
	files, err := b.files()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(starter, "starter")
	if err != nil || len(entries)+len(starterKeys) != len(files) {
		t.Errorf("%d files, of which init writes %d; %v", len(entries), len(files)-len(starterKeys), err)
	}
}
