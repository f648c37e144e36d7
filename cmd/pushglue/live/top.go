package live

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"pushglue/glue"
)

// every is how often a viewer asks.
const every = time.Second

// Ask asks a daemon for its status.
type Ask func(context.Context) (Status, error)

// Once writes a status and, since rates take two, asks twice.
func Once(ctx context.Context, ask Ask, w io.Writer) error {
	before, err := ask(ctx)
	if err != nil {
		return err
	}
	if !glue.Sleep(ctx, every) {
		return ctx.Err()
	}
	now, err := ask(ctx)
	if err != nil {
		return err
	}
	for _, r := range rowsOf(&before, &now) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(r.text, " ")); err != nil {
			return err
		}
	}
	return nil
}

// Top shows a daemon on a terminal until somebody has seen enough.
func Top(ctx context.Context, ask Ask, in io.Reader, out io.Writer) error {
	_, err := tea.NewProgram(top{ctx: ctx, ask: ask}, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	return err
}

// top is the model of the program: what was said last, and where somebody looks.
type top struct {
	ctx context.Context
	ask Ask

	before, now   *Status
	err           error // of the last question
	width, height int
	first         int // row that is shown
	help          bool
}

var _ tea.Model = top{}

// said is an answer of the daemon.
type said struct {
	status Status
	err    error
}

// due is when to ask again.
type due struct{}

// Init implements tea.Model.
func (m top) Init() tea.Cmd { return m.question }

func (m top) question() tea.Msg {
	status, err := m.ask(m.ctx)
	return said{status, err}
}

// Update implements tea.Model.
func (m top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case said:
		if m.err = msg.err; m.err == nil {
			m.before, m.now = m.now, &msg.status
		}
		return m, tea.Tick(every, func(time.Time) tea.Msg { return due{} })
	case due:
		return m, m.question
	case tea.KeyPressMsg:
		return m.press(msg.String())
	}
	return m, nil
}

func (m top) press(key string) (tea.Model, tea.Cmd) {
	if m.help && key != "q" && key != "ctrl+c" {
		m.help = false
		return m, nil
	}
	switch key {
	case "q", "ctrl+c", "esc":
		return m, tea.Quit
	case "?", "h":
		m.help = true
	case "up", "k":
		m.first--
	case "down", "j":
		m.first++
	case "pgup":
		m.first -= m.height - 1
	case "pgdown", "space":
		m.first += m.height - 1
	case "home", "g":
		m.first = 0
	}
	m.first = max(0, min(m.first, len(m.rows())-m.room()))
	return m, nil
}

// room is how many rows fit above the last line.
func (m top) room() int { return max(1, m.height-1) }

func (m top) rows() []row {
	if m.now == nil {
		return nil
	}
	return rowsOf(m.before, m.now)
}

const topHelp = `pushglue top shows what a daemon does, and asks it every second.

  q, Esc, Ctrl-C   quit
  ?, h             this help; any key ends it
  ↑ ↓, k j         a line up or down
  PgUp PgDn        a page
  g                to the top

At each arrow stands what goes through in a second. A push host that does not answer is red.
Stalled jobs are retried on the daemon's page, or with: pushglue jobs FEED retry ID`

// View implements tea.Model.
func (m top) View() tea.View {
	var v tea.View
	v.AltScreen = true
	v.WindowTitle = "pushglue top"
	v.SetContent(m.content())
	return v
}

func (m top) content() string {
	if m.height == 0 {
		return ""
	}
	if m.help {
		return topHelp
	}
	rows := m.rows()
	first := max(0, min(m.first, len(rows)-m.room()))
	lines := make([]string, m.height)
	for i := range min(m.room(), len(rows)-first) {
		lines[i] = m.paint(rows[first+i])
	}
	lines[m.height-1] = m.foot(len(rows) - first - m.room())
	return strings.Join(lines, "\n")
}

// foot is the last line: what is wrong with the daemon, or which keys there are.
func (m top) foot(below int) string {
	switch {
	case m.err != nil:
		return m.paint(row{"no answer: " + printable(m.err.Error()), bad})
	case m.now == nil:
		return "asking…"
	case below > 0:
		return fmt.Sprintf("q quit   ? help   ↓ %d more", below)
	}
	return "q quit   ? help"
}

// paint cuts a row to the width, and colours it.
func (m top) paint(r row) string {
	text := ansi.Truncate(r.text, m.width, "…")
	switch r.look {
	case head:
		return "\x1b[1m" + text + "\x1b[m"
	case bad:
		return "\x1b[31m" + text + "\x1b[m"
	}
	return text
}
