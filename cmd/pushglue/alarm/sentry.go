package alarm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/getsentry/sentry-go"
	"github.com/rs/zerolog"
)

// Sentry sends to Sentry what is logged as an error. Log lines never hold payload or secrets. It is an io.Writer for zerolog.
type Sentry struct {
	client *sentry.Client
}

// SentryConfig says where to.
type SentryConfig struct {
	DSN         string // a secret
	Environment string
	Release     string
	Sample      float64 // share of events that are sent, up to 1
}

// CheckDSN reports what is wrong with a DSN, without quoting it.
func CheckDSN(dsn string) error {
	if _, err := sentry.NewDsn(dsn); err != nil {
		return errors.New("the DSN has not the form https://KEY@HOST/PROJECT")
	}
	return nil
}

// NewSentry returns a Sentry. Errors do not quote the DSN.
func NewSentry(c SentryConfig) (*Sentry, error) {
	if c.Sample <= 0 || c.Sample > 1 {
		return nil, fmt.Errorf("a sample of %g is not more than 0 and up to 1", c.Sample)
	}
	if err := CheckDSN(c.DSN); err != nil {
		return nil, err
	}
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn: c.DSN, Environment: c.Environment, Release: c.Release, SampleRate: c.Sample,
	})
	if err != nil {
		return nil, errors.New("the client of Sentry does not start")
	}
	return &Sentry{client}, nil
}

// tags are the fields of a line by which events are grouped and searched.
var tags = []string{"feed", "pipeline", "stage", "host", "part", "panic", "check", "name"}

// grouping are those of them that make another event.
var grouping = []string{"feed", "pipeline", "stage", "part", "panic", "check"}

// Write implements io.Writer; zerolog calls WriteLevel.
func (s *Sentry) Write(line []byte) (int, error) { return len(line), nil }

// WriteLevel implements zerolog.LevelWriter.
func (s *Sentry) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if level < zerolog.ErrorLevel || level > zerolog.PanicLevel {
		return len(line), nil
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return len(line), nil
	}
	s.client.CaptureEvent(newEvent(level, fields), nil, nil)
	return len(line), nil
}

func newEvent(level zerolog.Level, fields map[string]any) *sentry.Event {
	event := sentry.NewEvent()
	event.Level = sentry.LevelError
	if level > zerolog.ErrorLevel {
		event.Level = sentry.LevelFatal
	}
	event.Logger = "pushglue"
	event.Timestamp = time.Now()
	event.Message = fmt.Sprint(fields[zerolog.MessageFieldName])
	event.Tags = map[string]string{}
	for _, name := range tags {
		if value, ok := fields[name].(string); ok {
			event.Tags[name] = value
		}
	}
	event.Fingerprint = []string{event.Message}
	for _, name := range grouping {
		event.Fingerprint = append(event.Fingerprint, event.Tags[name])
	}
	extra := sentry.Context{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName:
		default:
			extra[name] = fields[name]
		}
	}
	event.Contexts = map[string]sentry.Context{"log": extra}
	return event
}

// Flush waits for what is on its way, for so long at most.
func (s *Sentry) Flush(patience time.Duration) { s.client.Flush(patience) }
