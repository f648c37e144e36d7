package live

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestTheLogKeepsWarningsAndErrors(t *testing.T) {
	kept := new(Log)
	log := zerolog.New(zerolog.MultiLevelWriter(new(strings.Builder), kept)).With().Timestamp().Logger()
	log.Info().Msg("no news")
	log.Debug().Msg("no news")
	log.Log().Msg("no news")
	log.Warn().Str("host", "a").Int("n", 7).Msg("slow")
	for range 3 {
		log.Error().Err(errors.New("refused")).Msg("down")
	}
	log.Error().Err(errors.New("timed out")).Msg("down")
	log.Warn().Str("text", strings.Repeat("x", longestLine)).Msg("long")
	var got []string
	for _, l := range kept.Lines() {
		got = append(got, fmt.Sprintf("%d %s: %s%s", l.Times, l.Level, l.Message, l.fields()))
	}
	want := []string{
		"1 warn: a line that is too long to be shown here: see the log",
		`1 error: down  error="timed out"`,
		`3 error: down  error="refused"`,
		`1 warn: slow  host="a"  n=7`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for n := range 3 * mostLines {
		log.Warn().Int("n", n).Msg("many")
	}
	if lines := kept.Lines(); len(lines) != mostLines || string(lines[0].Fields["n"]) != fmt.Sprint(3*mostLines-1) {
		t.Errorf("%d lines, the newest with %s", len(lines), lines[0].Fields["n"])
	}
}
