package pipelines_test

import (
	"testing"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/stages/pipelines"
)

// TestPipelinesDoNotShareAMemory has two pipelines that are alike to the end: all is done once, but for dedupe.
func TestPipelinesDoNotShareAMemory(t *testing.T) {
	const text = `pipelines:
  - {name: a, feed: f, stages: [json, route: {channels: [all]}, dedupe: {window: 10m}], publish: push}
  - {name: b, feed: f, stages: [json, route: {channels: [all]}, dedupe: {window: 10m}], publish: push}
`
	list, err := pipelines.Parse("test", []byte(text), publishers(new(gluetest.Publisher)))
	if err != nil {
		t.Fatal(err)
	}
	way := glue.BranchesOf([]*glue.Pipeline{&list[0], &list[1]})
	if len(way.Stages) != 2 || len(way.Branches) != 2 || len(way.Branches[0].Stages) != 1 {
		t.Errorf("the way is %+v", way)
	}
}
