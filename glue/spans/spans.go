// Package spans tells an OpenTelemetry collector what became of jobs.
package spans

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Config is what an Exporter is made of.
type Config struct {
	Endpoint string  // base URL of a collector's OTLP over HTTP, such as http://127.0.0.1:4318; see CheckEndpoint
	Sample   float64 // of how many jobs without a trace context: 0 for none, 1 for all
	Version  string  // of the daemon
	Log      zerolog.Logger
}

// Exporter makes spans of traces and sends them. It is safe for concurrent use.
type Exporter struct {
	sample   float64
	provider *trace.TracerProvider
	tracer   api.Tracer
}

// CheckEndpoint returns what is wrong with an endpoint.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("want a base URL such as http://127.0.0.1:4318")
	}
	return nil
}

// New returns an Exporter, which connects when it has something to send. The caller closes it.
func New(c Config) (*Exporter, error) {
	if err := CheckEndpoint(c.Endpoint); err != nil {
		return nil, err
	}
	at, err := url.JoinPath(c.Endpoint, "v1", "traces")
	if err != nil {
		return nil, err
	}
	client, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(at))
	if err != nil {
		return nil, err
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(&logged{SpanExporter: client, log: c.Log}),
		trace.WithSampler(trace.AlwaysSample()), // Want has decided
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "pushglue"), attribute.String("service.version", c.Version))),
	)
	return &Exporter{sample: c.Sample, provider: provider, tracer: provider.Tracer("pushglue")}, nil
}

// logged is an exporter that logs failures: the first one in a row, since those that follow say the same. The SDK would tell a handler that
// all of a process shares.
type logged struct {
	trace.SpanExporter
	log     zerolog.Logger
	failing bool
}

// ExportSpans implements trace.SpanExporter. One call at a time is made.
func (l *logged) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := l.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !l.failing:
		l.log.Warn().Err(err).Msg("cannot send spans; these are lost")
	case err == nil && l.failing:
		l.log.Info().Msg("sending spans again")
	}
	l.failing = err != nil
	return nil
}

// Close sends what is left, until ctx is done.
func (e *Exporter) Close(ctx context.Context) error { return e.provider.Shutdown(ctx) }

// Want reports whether a job has spans: what its trace context says, else by lot.
func (e *Exporter) Want(job *glue.Job) bool {
	if parent := contextOf(job); parent.IsValid() {
		return parent.IsSampled()
	}
	return e.sample > 0 && rand.Float64() < e.sample
}

// contextOf returns the trace context in a job's envelope: its member traceparent.
func contextOf(job *glue.Job) api.SpanContext {
	const name = "traceparent"
	if !bytes.Contains(job.Payload, []byte(`"`+name+`"`)) { // most have none
		return api.SpanContext{}
	}
	envelope, err := tree.Parse(job.Payload)
	if err != nil {
		return api.SpanContext{}
	}
	member := envelope.Get(tree.Path{name})
	if member == nil {
		return api.SpanContext{}
	}
	text, _ := member.Text()
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{name: text})
	return api.SpanContextFromContext(ctx)
}

// Done makes spans of what became of a job: one from put to settled, and in it one for each step, and for each push host's answer.
func (e *Exporter) Done(job *glue.Job, t *glue.Trace) {
	ctx := context.Background()
	if parent := contextOf(job); parent.IsValid() {
		ctx = api.ContextWithRemoteSpanContext(ctx, parent)
	}
	begin, end := t.Claimed, *t.Settled
	if t.Put != nil {
		begin = *t.Put
	}
	ctx, root := e.tracer.Start(ctx, "job "+t.Feed, api.WithTimestamp(begin), api.WithSpanKind(api.SpanKindConsumer), api.WithAttributes(
		attribute.String("messaging.system", "thoonk"),
		attribute.String("messaging.destination.name", t.Feed),
		attribute.String("messaging.message.id", t.Job),
		attribute.Int("pushglue.cancelled", t.Cancelled),
		attribute.String("pushglue.verdict", t.Verdict),
	))
	if t.Error != "" {
		root.SetStatus(codes.Error, t.Error)
		root.SetAttributes(attribute.String("pushglue.pipeline", t.Pipeline))
	}
	if begin.Before(t.Claimed) {
		e.span(ctx, api.SpanKindInternal, "wait", begin, t.Claimed, "")
	}
	for i := range t.Steps {
		e.step(ctx, &t.Steps[i])
	}
	root.End(api.WithTimestamp(end))
}

// step makes a span of a step, and of the answers in it. Channels may tell of people, so there is only their number.
func (e *Exporter) step(ctx context.Context, s *glue.Step) {
	name := s.What
	if s.Stage != "" {
		name += " " + s.Stage
	}
	ctx, span := e.tracer.Start(ctx, name, api.WithTimestamp(s.Start), api.WithAttributes(
		attribute.StringSlice("pushglue.pipelines", s.Pipelines),
		attribute.Int("pushglue.attempt", s.Attempt),
		attribute.Int("pushglue.messages_in", s.In),
		attribute.Int("pushglue.messages_out", s.Out),
		attribute.Int("pushglue.channels", len(s.Channels)),
		attribute.Bool("pushglue.of_batch", s.OfBatch),
	))
	if s.Error != "" {
		span.SetStatus(codes.Error, s.Error)
	}
	for i := range s.Hosts {
		if a := &s.Hosts[i]; a.Sent != nil {
			end := s.End
			if a.Answered != nil {
				end = *a.Answered
			}
			e.span(ctx, api.SpanKindClient, "request", *a.Sent, end, a.Error, attribute.String("server.address", a.Host), attribute.Bool("pushglue.accepted", a.Accepted))
		}
	}
	span.End(api.WithTimestamp(s.End))
}

func (e *Exporter) span(ctx context.Context, kind api.SpanKind, name string, start, end time.Time, failure string, attributes ...attribute.KeyValue) {
	_, span := e.tracer.Start(ctx, name, api.WithTimestamp(start), api.WithSpanKind(kind), api.WithAttributes(attributes...))
	if failure != "" {
		span.SetStatus(codes.Error, failure)
	}
	span.End(api.WithTimestamp(end))
}
