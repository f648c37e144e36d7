package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pushglue/cmd/pushglue/bench"
	"pushglue/cmd/pushglue/capacity"
	"pushglue/cmd/pushglue/live"
	"pushglue/glue"
)

// TestTheConfigurationAndJobsDocuments holds the documents against the JSON that they describe:
// every field is named.
func TestTheConfigurationAndJobsDocuments(t *testing.T) {
	for path, values := range map[string][]any{
		"../../docs/capacity.md":      {capacity.Report{}},
		"../../docs/configuration.md": {glue.Sums{}, hostsReport{}, roleOrder{}, httpError{}},
		"../../docs/page.md":          {live.Status{}, jobsOrder{}},
		"../../docs/performance.md":   {bench.PublishReport{}, bench.SubscribeReport{}},
		"../../docs/trace.md":         {traceReport{}, tailLine{}},
		"../../docs/queue.md":         {feedReport{}, listOutput{}, jobReport{}, changeReport{}},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			for _, name := range jsonNames(reflect.TypeOf(value)) {
				if !strings.Contains(string(text), "`"+name+"`") {
					t.Errorf("%s does not name the field %s of %T", path, name, value)
				}
			}
		}
	}
}

// TestTheReadmeNamesAllDocuments looks for a link to each document, and for what links lead to.
func TestTheReadmeNamesAllDocuments(t *testing.T) {
	readme := read(t, "../../README.md")
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatal(documents, err)
	}
	for _, path := range documents {
		if link := "(docs/" + filepath.Base(path) + ")"; !strings.Contains(readme, link) {
			t.Errorf("README.md does not have %s", link)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join("..", "..", link[1])); err != nil {
			t.Errorf("README.md leads nowhere: %v", err)
		}
	}
}

// TestTheGettingStartedDocument has a configuration written, and tried, as docs/getting-started.md says. TestInit goes on from there.
func TestTheGettingStartedDocument(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(read(t, "../../docs/getting-started.md"), -1)
	if len(blocks) < 2 {
		t.Fatalf("it has %q", blocks)
	}
	start, built := strings.CutPrefix(blocks[0][1], "make build\nexport PATH=$PWD/bin:$PATH\n")
	t.Chdir(t.TempDir())
	got := shell(t, onPath(t), start+blocks[1][1])
	for _, want := range []string{"wrote  ", "/my-glue/pipelines.yml is good:\n", "3 jobs: 3 messages to publish, 0 dropped, 0 failed\n"} {
		if !built || !strings.Contains(got, want) {
			t.Errorf("it prints\n%s\nnot %q", got, want)
		}
	}
}

// jsonNames returns the names that the fields of a type of this module, and of what is in it, have in JSON.
func jsonNames(t reflect.Type) []string {
	switch {
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer:
		return jsonNames(t.Elem())
	case t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), "pushglue/"):
		return nil
	}
	var names []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
			continue
		case name != "":
			names = append(names, name)
		case !field.Anonymous:
			names = append(names, strings.ToLower(field.Name))
		}
		if field.Type.Kind() != reflect.Slice || field.Type.Elem() != t { // a branch has branches
			names = append(names, jsonNames(field.Type)...)
		}
	}
	return names
}
