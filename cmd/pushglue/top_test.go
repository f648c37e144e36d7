package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// tmux is a terminal that tells what is on it.
type tmux struct {
	t      *testing.T
	socket string
}

// startTmux runs a command on a terminal of so many columns and lines, and then shows there how it ended: tmux itself sometimes
// loses the signal that would tell it.
func startTmux(t *testing.T, env []string, columns, lines string, args ...string) *tmux {
	t.Helper()
	m := &tmux{t, filepath.Join(t.TempDir(), "tmux")}
	command := []string{"new-session", "-d", "-s", "top", "-x", columns, "-y", lines, "env", "-i", "TERM=screen-256color"}
	command = append(append(command, env...), "sh", "-c", `"$@"; echo "exit code $?"; read -r _`, "sh")
	m.do(append(command, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the terminal:\n%s", m.screen())
		}
		m.do("kill-server")
	})
	return m
}

func (m *tmux) do(args ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // t's is over in a cleanup
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-S", m.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TMUX_TMPDIR=" + filepath.Dir(m.socket)}
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// screen returns what is on the terminal.
func (m *tmux) screen() string { m.t.Helper(); return m.do("capture-pane", "-p", "-t", "top") }

// until waits until all texts are on the terminal.
func (m *tmux) until(texts ...string) {
	m.t.Helper()
	eventually(m.t, "the terminal shows "+strings.Join(texts, ", "), func() bool {
		screen := m.screen()
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// TestTop watches a daemon on a real terminal.
func TestTop(t *testing.T) {
	comments := loadComments(t, 100)
	path := shippedPipelines(t)
	store := service.StartRedis(t)
	feed, err := thoonk.NewFeed(store.Client(t), "comments", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	stalled := stallOn(t, feed, "\x1b[2J no JSON")
	host := service.StartNginx(t, service.Nchan, memory[service.Nchan])
	address := nobody(t)
	daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL(), "HTTP_ADDR="+address)...)
	stop := keepPutting(t, feed, comments)
	name := strings.TrimPrefix(host.InternalURL(), "http://")

	code, once, errs := invoke(t, "", environment("HTTP_ADDR="+address), "top", "--once")
	for _, want := range []string{"pushglue dev   up ", "feed comments\n", " 1 stalled ", "→ anonymize", "→ file   JSONAnonFile\n", "PUSH HOST ", name + "  up     in    0 ", stalled[0], "a test stalled it", "forum:gazette"} {
		if !strings.Contains(once, want) {
			t.Errorf("--once does not show %q", want)
		}
	}
	if code != 0 || errs != "" || strings.Contains(once, "\x1b") {
		t.Errorf("--once: exit code %d: %s\n%s", code, errs, once)
	}

	m := startTmux(t, environment("HTTP_ADDR="+address), "100", "40", os.Args[0], "top")
	m.until("feed comments", "→ anonymize", name, "a test stalled it", "forum:gazette", "q quit   ? help")
	eventually(t, "a rate", func() bool {
		head, _, _ := strings.Cut(m.screen(), "\n")
		_, rate, found := strings.Cut(head, "   up ")
		return found && !strings.Contains(rate, "- jobs/s") && !strings.Contains(rate, " 0 jobs/s")
	})
	stop()
	m.do("send-keys", "-t", "top", "?")
	m.until("At each arrow stands what goes through in a second.")
	m.do("send-keys", "-t", "top", "x")
	m.until("feed comments")

	m.do("resize-window", "-t", "top", "-x", "40", "-y", "8")
	m.until("…\n", "↓ ")
	if strings.Contains(m.screen(), "a test stalled it") {
		t.Errorf("too much is on a small terminal:\n%s", m.screen())
	}
	for range 30 {
		m.do("send-keys", "-t", "top", "j")
	}
	m.until("thread:")
	m.do("send-keys", "-t", "top", "g")
	m.do("resize-window", "-t", "top", "-x", "120", "-y", "40")
	m.until("feed comments", name)

	host.Kill()
	m.until(name+"  NO ANSWER", "WHY")
	if colours := m.do("capture-pane", "-p", "-e", "-t", "top"); !regexp.MustCompile(`\x1b\[31m(\x1b\[49m)?` + regexp.QuoteMeta(name)).MatchString(colours) {
		t.Errorf("a host that is dead is not red:\n%q", colours)
	}
	daemon.Stop()
	m.until("no answer: no daemon answers at " + address)
	m.do("send-keys", "-t", "top", "q")
	m.until("exit code 0")

	code, _, errs = invoke(t, "", environment("HTTP_ADDR="+address), "top")
	if code != 1 || !strings.HasPrefix(errs, "pushglue: no daemon answers at "+address) {
		t.Errorf("without a daemon: exit code %d: %s", code, errs)
	}
}
