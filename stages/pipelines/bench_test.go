package pipelines_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/stages/pipelines"
)

// discard is a publisher that takes everything.
type discard struct{}

func (discard) NeedsChannels() {}

func (discard) Publish(_ context.Context, batch []*glue.Message, outcomes []error) {
	for i, m := range batch {
		_ = m.Body()
		outcomes[i] = nil
	}
}

// replay is a feed that gives a number of jobs, with the same payloads again and again.
type replay struct {
	payloads [][]byte
	jobs     int
	settled  func() // called when all jobs are

	claimed, done int
}

func (*replay) Name() string { return "comments" }

func (*replay) Wait(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func (f *replay) Claim(_ context.Context, limit int) ([]glue.Job, error) {
	jobs := make([]glue.Job, min(limit, f.jobs-f.claimed))
	for i := range jobs {
		jobs[i] = glue.Job{ID: jobID(f.claimed), Payload: f.payloads[f.claimed%len(f.payloads)]}
		f.claimed++
	}
	return jobs, nil
}

func (f *replay) Settle(_ context.Context, settlements []glue.Settlement) error {
	if f.done += len(settlements); f.done == f.jobs {
		f.settled()
	}
	return nil
}

// loadApart loads a pipelines file so that no two pipelines have a stage in common: each one comes from a
// reading of its own, and has other names for its stages, since a stage without options is equal to itself.
func loadApart(b *testing.B, path string) []glue.Pipeline {
	b.Helper()
	list := loadTogether(b, path)
	for i := range list {
		list[i] = loadTogether(b, path)[i]
		for s := range list[i].Stages {
			list[i].Stages[s].Name += strings.Repeat("'", i)
		}
	}
	return list
}

func loadTogether(b *testing.B, path string) []glue.Pipeline {
	b.Helper()
	list, err := pipelines.Load(path, publishers(discard{}))
	if err != nil {
		b.Fatal(err)
	}
	for i := range list {
		list[i].Publisher = discard{}
	}
	return list
}

// BenchmarkSideBySide runs the shipped pipelines over the comments: with the stages that they have
// in common worked once, and with every pipeline for itself. One operation is one job.
func BenchmarkSideBySide(b *testing.B) {
	goldenKeys(b)
	const path = testdata + "good/comments.yml"
	for name, load := range map[string]func(*testing.B, string) []glue.Pipeline{"together": loadTogether, "apart": loadApart} {
		b.Run(name, func(b *testing.B) { benchmarkPipelines(b, load(b, path), nil) })
	}
}

// BenchmarkTransform takes comments through json, anonymize, route and format, in the engine and up to a
// publisher that takes everything. One operation is one job; without stages it has what the engine costs by
// itself. With -cpu 1 the time is that of the processor.
func BenchmarkTransform(b *testing.B) {
	goldenKeys(b)
	list := loadTogether(b, testdata+"good/comments.yml")
	list = list[:1]
	list[0].Stages = slices.DeleteFunc(list[0].Stages, func(s glue.NamedStage) bool { return s.Name == "sanitize" })
	b.Run("four stages", func(b *testing.B) { benchmarkPipelines(b, list, nil) })
	list[0].Stages = nil
	b.Run("no stages", func(b *testing.B) { benchmarkPipelines(b, list, nil) })
}

// BenchmarkTraces is what traces cost the shipped pipelines: without any, with those that the daemon keeps by default, and with all.
func BenchmarkTraces(b *testing.B) {
	goldenKeys(b)
	list := loadTogether(b, testdata+"good/comments.yml")
	for _, keep := range []glue.Keep{glue.KeepNone, glue.KeepSome, glue.KeepAll} {
		b.Run(string(keep), func(b *testing.B) {
			benchmarkPipelines(b, list, glue.NewTraces(glue.TraceConfig{Keep: keep}))
		})
	}
}

func benchmarkPipelines(b *testing.B, list []glue.Pipeline, traces *glue.Traces) {
	payloads := readLines(b, "../../testdata/comments.jsonl")
	ctx, cancel := context.WithCancel(b.Context())
	feed := &replay{payloads: payloads, jobs: b.N, settled: cancel}
	engine, err := glue.New(glue.Config{Feeds: []glue.Feed{feed}, Pipelines: list, Traces: traces, Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := engine.Run(ctx); err != nil {
		b.Fatal(err)
	}
}
