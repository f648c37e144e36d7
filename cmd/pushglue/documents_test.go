package main

import (
	"os"
	"reflect"
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
