package examples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// python is Debian's, which finds Debian's packages.
const python = "/usr/bin/python3"

// application is the web application in Django, in a directory of its own.
type application struct {
	t    *testing.T
	data string
	env  []string
	url  string
}

// newApplication returns the application, which does not run yet.
func newApplication(t *testing.T, store *service.Redis) *application {
	t.Helper()
	service.NeedFile(t, "/usr/lib/python3/dist-packages/django", "python3-django")
	service.NeedFile(t, "/usr/lib/python3/dist-packages/redis", "python3-redis")
	data := t.TempDir()
	return &application{
		t:    t,
		data: data,
		url:  fmt.Sprintf("http://127.0.0.1:%d", service.FreePort(t)),
		env:  []string{"PYTHONDONTWRITEBYTECODE=1", "DATA_DIRECTORY=" + data, "REDIS_URL=" + store.URL()},
	}
}

// manage starts manage.py, and returns when it has written a line that contains started. It is killed at the end of the test, if it
// runs then.
func (a *application) manage(started string, args ...string) *program {
	a.t.Helper()
	cmd := exec.Command(python, append([]string{"django/manage.py"}, args...)...)
	cmd.Env = a.env
	return start(a.t, started, cmd)
}

// serve starts the web server.
func (a *application) serve(args ...string) *program {
	a.t.Helper()
	p := a.manage("serves ", append([]string{"serve", strings.TrimPrefix(a.url, "http://")}, args...)...)
	eventually(a.t, "the application answers", func() bool {
		response, err := http.Get(a.url + "/healthz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

// relay starts a process that moves jobs to Redis.
func (a *application) relay() *program {
	a.t.Helper()
	return a.manage("moves jobs to the feed", "relay")
}

// program is a process that a test has started.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan error // gets how it ended
}

// start starts a process and returns when it has written a line that contains started.
func start(t *testing.T, started string, cmd *exec.Cmd) *program {
	t.Helper()
	output, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	p := &program{t, cmd, make(chan error, 1)}
	var (
		mu  sync.Mutex
		log strings.Builder
	)
	running := make(chan struct{})
	go func() {
		for lines, found := bufio.NewScanner(output), false; lines.Scan(); {
			mu.Lock()
			fmt.Fprintln(&log, lines.Text())
			mu.Unlock()
			if !found && strings.Contains(lines.Text(), started) {
				found = true
				close(running)
			}
		}
		p.exited <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		if t.Failed() {
			mu.Lock()
			defer mu.Unlock()
			t.Logf("%q wrote:\n%s", cmd.Args, log.String())
		}
	})
	select {
	case <-running:
	case err := <-p.exited:
		t.Fatalf("%q ended: %v", cmd.Args, err)
	case <-time.After(patience):
		t.Fatalf("%q does not start", cmd.Args)
	}
	return p
}

func (p *program) signal(signal os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("send %q the signal %v: %v", p.cmd.Args, signal, err)
	}
}

// kill ends the process by SIGKILL, and returns when it has ended.
func (p *program) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	_ = p.await() // killed
}

// stop ends the process by SIGTERM, at which it must end well.
func (p *program) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if err := p.await(); err != nil {
		p.t.Errorf("%q ended with %v", p.cmd.Args, err)
	}
}

// await waits until the process has ended, and returns how.
func (p *program) await() error {
	p.t.Helper()
	select {
	case err := <-p.exited:
		return err
	case <-time.After(patience):
		p.t.Fatalf("%q does not end", p.cmd.Args)
		return nil
	}
}

// visitor is a browser with its cookie.
type visitor struct {
	url    string
	client http.Client
}

// visit opens thread 1 as a new visitor.
func (a *application) visit() (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{a.url, http.Client{Jar: jar, Timeout: patience}}
	_, err = v.send(http.MethodGet, "/api/threads/1", "")
	return v, err
}

// change is what the application answers to one.
type change struct {
	Post int
	ID   string
}

// change sends a change of comments.
func (v *visitor) change(method, path, body string) (change, error) {
	answer, err := v.send(method, path, body)
	var c change
	if err == nil {
		err = json.Unmarshal(answer, &c)
	}
	return c, err
}

// send sends a request and returns what is answered with success.
func (v *visitor) send(method, path, body string) ([]byte, error) {
	request, err := http.NewRequest(method, v.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := v.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s is answered %s: %s", method, path, response.Status, bytes.TrimSpace(answer))
	}
	return answer, err
}

// TestDjango has what visitors do come to a reader, from the application as one process.
func TestDjango(t *testing.T) {
	t.Parallel()
	store := service.StartRedis(t)
	host := service.StartNginx(t, service.Nchan)
	app := newApplication(t, store)
	server := app.serve()
	page := read(t, host, "thread:1")
	ann, err := app.visit()
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		method, path, body string
		want               message
	}{
		{"POST", "/api/threads/1/presence", `{"leaving":false}`, message{Type: "presence", Readers: 1}},
		{
			"POST", "/api/threads/1/comments", `{"author":"Ann","message":"Hello <script>"}`,
			message{Type: "post_save", ID: "c1.1", Post: json.RawMessage("1"), Parent: json.RawMessage("null"), Revision: 1, Message: "Hello &lt;script&gt;"},
		},
		{
			"POST", "/api/threads/1/comments", `{"author":"Ann","message":"An answer","parent":1}`,
			message{Type: "post_save", ID: "c2.1", Post: json.RawMessage("2"), Parent: json.RawMessage("1"), Revision: 1, Message: "An answer"},
		},
		{
			"PATCH", "/api/comments/1", `{"message":"Hello"}`,
			message{Type: "post_save", ID: "c1.2", Post: json.RawMessage("1"), Parent: json.RawMessage("null"), Revision: 2, Message: "Hello"},
		},
		{"DELETE", "/api/comments/1", "", message{Type: "post_delete", ID: "c1.3", Post: json.RawMessage("1"), Revision: 3}},
		{"POST", "/api/threads/1/presence", `{"leaving":true}`, message{Type: "presence"}},
	}
	for _, step := range steps {
		if _, err := ann.send(step.method, step.path, step.body); err != nil {
			t.Fatal(err)
		}
	}
	rdb := store.Client(t)
	eventually(t, "the relay moves all jobs", func() bool { return putSoFar(t, rdb) == len(steps) })
	server.stop()
	checkFeed(t, store, len(steps))
	startDaemon(t, os.Getenv(binaryVariable), "pipelines.yml", store, host)
	for _, step := range steps {
		got := page.next()
		author := got.Author
		if step.want.ID == "" { // of presence it is random
			got.ID = ""
		} else if author["name"] != "Ann" || author["username"] != "ann" || author["ip"] != nil {
			t.Errorf("%s %s: the author is %v", step.method, step.path, author)
		}
		got.Author = nil
		if fmt.Sprint(got) != fmt.Sprint(step.want) {
			t.Errorf("%s %s: a reader gets %+v, want %+v", step.method, step.path, got, step.want)
		}
	}
}

// TestDjangosOwn runs the application's own tests.
func TestDjangosOwn(t *testing.T) {
	t.Parallel()
	app := newApplication(t, service.StartRedis(t))
	cmd := exec.CommandContext(t.Context(), python, "manage.py", "test", "--no-color")
	cmd.Dir, cmd.Env = "django", app.env
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("\nOK\n")) {
		t.Errorf("%v\n%s", err, out)
	}
}
