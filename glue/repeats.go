package glue

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// repeatTime is in which time events of one kind are logged once, and maxKinds how many kinds are told apart.
const (
	repeatTime = 10 * time.Second
	maxKinds   = 20
)

// repeats keeps what happens thousands of times a second from flooding the log: it logs the first event of a kind, and when the time
// is over how many more there were. With the level debug it logs each.
type repeats struct {
	log zerolog.Logger

	mu    sync.Mutex
	kinds map[string]*repeat
	timer *time.Timer
}

// repeat is one kind of event.
type repeat struct {
	event
	more int64
}

// event is what is logged.
type event struct {
	level   zerolog.Level
	message string
	kind    string               // events with the same are of one kind
	common  func(*zerolog.Event) // adds fields that all of the kind have
	own     func(*zerolog.Event) // adds fields of this one; nil for none
}

// otherKinds is the kind of events when there are too many kinds.
const otherKinds = ""

func newRepeats(log zerolog.Logger) *repeats {
	return &repeats{log: log, kinds: map[string]*repeat{}}
}

// say logs an event, or counts it.
func (r *repeats) say(e event) {
	if !r.isFirst(&e) {
		e.level = zerolog.DebugLevel
	}
	line := r.log.WithLevel(e.level)
	if line == nil { // the level is off
		return
	}
	e.common(line)
	if e.own != nil {
		e.own(line)
	}
	line.Msg(e.message)
}

// isFirst notes an event, and reports whether it is the first of its kind.
func (r *repeats) isFirst(e *event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind := e.message + "\x00" + e.kind
	if seen := r.kinds[kind]; seen != nil {
		seen.more++
		return false
	}
	if len(r.kinds) == 0 {
		r.timer = time.AfterFunc(repeatTime, r.flush)
	}
	if len(r.kinds) < maxKinds {
		r.kinds[kind] = &repeat{event: *e}
		return true
	}
	others := r.kinds[otherKinds]
	if others == nil {
		others = &repeat{event: event{level: e.level, message: e.message, common: func(line *zerolog.Event) { line.Str("error", "of other kinds") }}}
		r.kinds[otherKinds] = others
	}
	others.more++
	return false
}

// flush logs how many more events there were, and begins anew.
func (r *repeats) flush() {
	r.mu.Lock()
	kinds := r.kinds
	r.kinds = map[string]*repeat{}
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	for _, k := range kinds {
		if k.more > 0 {
			line := r.log.WithLevel(k.level).Int64("repeats", k.more)
			k.common(line)
			line.Msg(k.message + " again")
		}
	}
}
