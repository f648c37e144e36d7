package live

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"pushglue/glue"
)

// row is a line of text, and how it stands out.
type row struct {
	text string
	look look
}

type look int

const (
	plain look = iota
	head
	bad
)

// screen writes a status for a terminal. before is the one from which rates are counted; nil for none.
type screen struct {
	now    *Status
	before *Status
	rows   []row
}

// Rows of a status, in the order in which somebody looks.
func rowsOf(before, now *Status) []row {
	if before != nil && !before.Started.Equal(now.Started) {
		before = nil // the counters are others
	}
	s := screen{now: now, before: before}
	s.summary()
	for i := range now.Feeds {
		s.feed(&now.Feeds[i])
	}
	s.hosts()
	s.stalled()
	s.hot()
	s.log()
	return s.rows
}

func (s *screen) add(l look, format string, args ...any) {
	s.rows = append(s.rows, row{printable(fmt.Sprintf(format, args...)), l})
}

// printable returns text without what a terminal would take for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, text)
}

// rate returns how fast a counter grows, as text.
func (s *screen) rate(counter func(*Status) (int64, bool)) string {
	if s.before == nil {
		return "-"
	}
	from, known := counter(s.before)
	to, is := counter(s.now)
	over := s.now.At.Sub(s.before.At).Seconds()
	if !known || !is || over <= 0 {
		return "-"
	}
	n := math.Max(0, float64(to-from)/over)
	if n == 0 || n >= 10 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

func (s *screen) summary() {
	finished := s.rate(func(s *Status) (n int64, is bool) {
		for _, f := range s.Feeds {
			n += f.Ledger.Finished
		}
		return n, true
	})
	agree := "the sums agree"
	if len(s.now.Discrepancies) > 0 {
		agree = "THE SUMS DO NOT AGREE"
	}
	s.add(head, "pushglue %s   up %s   %s jobs/s   %s", s.now.Version, length(s.now.At.Sub(s.now.Started).Seconds()), finished, agree)
	for _, d := range s.now.Discrepancies {
		s.add(bad, "%s", d.Text)
	}
}

func (s *screen) feed(f *Feed) {
	of := func(counter func(*Feed) int64) string {
		return s.rate(func(s *Status) (int64, bool) {
			for i := range s.Feeds {
				if s.Feeds[i].Name == f.Name {
					return counter(&s.Feeds[i]), s.Feeds[i].Error == ""
				}
			}
			return 0, false
		})
	}
	s.add(plain, "")
	s.add(head, "feed %s", f.Name)
	if f.Error != "" {
		s.add(bad, "Redis does not tell: %s", f.Error)
	}
	s.add(plain, "%s put/s   %s finished/s   %d queued   %d claimed   %d stalled   oldest %s   half of the jobs in %s, 99 of 100 in %s",
		of(func(f *Feed) int64 { return f.Put }), of(func(f *Feed) int64 { return f.Finished }), f.Queued, f.Claimed, f.Stalled,
		length(f.OldestSeconds), length(f.Took.P50Seconds), length(f.Took.P99Seconds))
	s.way(f.Way, "")
}

// way draws a branch: a line for each pipeline, with what goes into each stage in a second.
func (s *screen) way(w Way, indent string) {
	var line strings.Builder
	line.WriteString(indent)
	for _, p := range w.Stages {
		fmt.Fprintf(&line, "─%s→ %s ", s.into(p), p.Name)
	}
	if w.Publisher != nil {
		shadow := ""
		if w.Publisher.Shadow {
			shadow = " (shadow)"
		}
		s.add(plain, "%s─%s→ %s   %s%s", line.String(), s.into(*w.Publisher), w.Publisher.Name, w.Publisher.Pipeline, shadow)
		return
	}
	if len(w.Stages) > 0 {
		s.add(plain, "%s", line.String())
		indent += "  "
	}
	for _, branch := range w.Branches {
		s.way(branch, indent)
	}
}

// into returns how much goes into a stage, or a publisher.
func (s *screen) into(p Place) string {
	return s.rate(func(s *Status) (int64, bool) {
		for _, sums := range s.Pipelines {
			switch {
			case sums.Name != p.Pipeline:
			case p.Stage < len(sums.Stages):
				return sums.Stages[p.Stage].In, true
			default:
				return sums.Publish.In, true
			}
		}
		return 0, false
	})
}

// table adds rows with columns under each other; heading is the first one.
func (s *screen) table(heading string, lines []string, looks []look) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, heading)
	for _, line := range lines {
		fmt.Fprintln(t, line)
	}
	_ = t.Flush() // a strings.Builder takes everything
	s.add(plain, "")
	for i, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if i == 0 {
			s.add(head, "%s", line)
			continue
		}
		s.add(looks[i-1], "%s", line)
	}
}

func (s *screen) hosts() {
	if len(s.now.Hosts) == 0 {
		return
	}
	var lines []string
	var looks []look
	for i := range s.now.Hosts {
		h := &s.now.Hosts[i]
		state, readers, look := h.State, "-", plain
		if h.Ready {
			readers = fmt.Sprint(h.Readers)
		}
		if h.IsDead() {
			look = bad
			state = strings.ToUpper(state)
			if h.State != "down" {
				state = "NO ANSWER"
			}
		}
		sent := s.rate(func(s *Status) (int64, bool) { return s.sent(h.Name) })
		why := h.Reason
		if why == "" {
			why = h.NotReady
		}
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s", h.Name, state, h.Role, readers, sent, h.Due+h.Owed, length(float64(h.LagMS)/1000), h.Missed, printable(why)))
		looks = append(looks, look)
	}
	s.table("PUSH HOST\tSTATE\tROLE\tREADERS\tSENT/S\tDUE\tLAG\tMISSED\tWHY", lines, looks)
}

func (s *Status) sent(host string) (int64, bool) {
	for i := range s.Hosts {
		if s.Hosts[i].Name == host {
			return s.Hosts[i].Ledger.Sent, true
		}
	}
	return 0, false
}

func (s *screen) stalled() {
	var lines []string
	var looks []look
	for _, f := range s.now.Feeds {
		for _, j := range f.StalledJobs {
			when := "-"
			if j.Stalled != nil {
				when = length(s.now.At.Sub(*j.Stalled).Seconds()) + " ago"
			}
			reason := glue.Reason{Pipeline: j.Pipeline, Error: j.Error}
			lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s", f.Name, printable(j.ID), when, printable(reason.String())))
			looks = append(looks, plain)
		}
	}
	if len(lines) > 0 {
		s.table("FEED\tSTALLED JOB\tWHEN\tWHY", lines, looks)
	}
}

// mostRows is how many channels, and lines of the log, are shown.
const mostRows = 10

func (s *screen) hot() {
	hot := s.now.Traffic.Hot
	var lines []string
	var looks []look
	for _, h := range hot[:min(len(hot), mostRows)] {
		lines = append(lines, fmt.Sprintf("%s\t%.1f", printable(h.Channel), h.PerSecond))
		looks = append(looks, plain)
	}
	if len(lines) > 0 {
		s.table("HOT CHANNEL\tMESSAGES/S", lines, looks)
	}
}

func (s *screen) log() {
	lines := s.now.Log[:min(len(s.now.Log), mostRows)]
	if len(lines) == 0 {
		return
	}
	s.add(plain, "")
	s.add(head, "LAST WARNINGS AND ERRORS")
	for _, l := range lines {
		look, times := plain, ""
		if l.Level != "warn" {
			look = bad
		}
		if l.Times > 1 {
			times = fmt.Sprintf(" (%d times)", l.Times)
		}
		s.add(look, "%s %s: %s%s%s", l.At.Local().Format(time.TimeOnly), l.Level, l.Message, times, l.fields())
	}
}

// length writes seconds for people.
func length(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Minute:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
