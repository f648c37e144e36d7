package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Limits of what is kept of the log.
const (
	mostLines   = 50
	longestLine = 4 << 10
)

// Log keeps the last warnings and errors that a zerolog.Logger writes. What is logged holds no payload, and neither does it.
type Log struct {
	mu    sync.Mutex
	lines []Line // the oldest first
}

var _ zerolog.LevelWriter = (*Log)(nil)

// Write implements io.Writer: a line of no level is none to keep.
func (l *Log) Write(p []byte) (int, error) { return len(p), nil }

// WriteLevel implements zerolog.LevelWriter.
func (l *Log) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	if level < zerolog.WarnLevel || level == zerolog.NoLevel || level == zerolog.Disabled {
		return len(p), nil
	}
	line := Line{Level: level.String(), At: time.Now(), Fields: map[string]json.RawMessage{}, Times: 1}
	if len(p) > longestLine || json.Unmarshal(p, &line.Fields) != nil {
		line.Message = "a line that is too long to be shown here: see the log"
	} else {
		_ = json.Unmarshal(line.Fields[zerolog.MessageFieldName], &line.Message) // no message is an empty one
	}
	for _, shown := range []string{zerolog.LevelFieldName, zerolog.TimestampFieldName, zerolog.MessageFieldName} {
		delete(line.Fields, shown)
	}
	l.add(line)
	return len(p), nil
}

// add adds a line, or counts it when it is the last one again.
func (l *Log) add(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.lines); n > 0 && l.lines[n-1].says(line) {
		line.Times += l.lines[n-1].Times
		l.lines = l.lines[:n-1]
	}
	if len(l.lines) == mostLines {
		l.lines = slices.Delete(l.lines, 0, 1)
	}
	l.lines = append(l.lines, line)
}

func (l Line) says(other Line) bool {
	return l.Level == other.Level && l.Message == other.Message &&
		maps.EqualFunc(l.Fields, other.Fields, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// Lines returns what is kept, the newest first.
func (l *Log) Lines() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := append([]Line{}, l.lines...)
	slices.Reverse(lines)
	return lines
}

// fields returns the fields as text, in the order of their names.
func (l Line) fields() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.Fields)) {
		fmt.Fprintf(&b, "  %s=%s", name, l.Fields[name])
	}
	return b.String()
}
