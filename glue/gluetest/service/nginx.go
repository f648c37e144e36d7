package service

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The push modules that nginx/ ships a configuration for.
const (
	Nchan      = "nchan"
	PushStream = "push-stream"
)

// patience bounds every wait for nginx. Only a broken test reaches it.
const patience = 10 * time.Second

// Nginx is a running push host with the shipped configuration. Its methods are not safe for
// concurrent use, except for the URLs.
type Nginx struct {
	tb       testing.TB
	dir      string // the configuration tree, and what nginx writes
	module   string
	workers  int
	public   int
	internal int
	secure   int      // 0 for none
	under    []string // the command that runs it, if any
	address  string   // beside 127.0.0.1, if any

	client  *http.Client // of this package; it leaves no connection behind once nginx is stopped
	process *exec.Cmd
	exited  chan struct{} // closed when process has been waited for
	stderr  bytes.Buffer  // of process, to be read after exited
}

// NginxOption changes how StartNginx configures a push host.
type NginxOption func(*Nginx, map[string]string)

// NginxFile replaces the text of one shipped file, such as "common/internal-body.conf".
func NginxFile(path, text string) NginxOption {
	return func(_ *Nginx, files map[string]string) { files[path] = text }
}

// NginxWorkers sets the number of worker processes. The default is 1, where a stream that has
// greeted is certain to receive what is published next; with more there is an instant between.
func NginxWorkers(n int) NginxOption {
	return func(host *Nginx, _ map[string]string) { host.workers = n }
}

// NginxStore says whether a push-stream host keeps messages for readers that come back. As shipped it does.
func NginxStore(on bool) NginxOption {
	return func(host *Nginx, _ map[string]string) { host.Store(on) }
}

// NginxTLS opens the publishers' side over TLS too, at SecureURL, with the shipped internal-tls.conf: the
// certificate and the key are the host's, and clients signs those of who may publish.
func NginxTLS(certificate, key, clients string) NginxOption {
	return func(host *Nginx, files map[string]string) {
		host.tb.Helper()
		host.secure = FreePort(host.tb)
		files["common/listen-internal.conf"] = fmt.Sprintf("listen 127.0.0.1:%d default_server;\nlisten 127.0.0.1:%d default_server ssl;\ninclude ../common/internal-tls.conf;\n", host.internal, host.secure)
		shipped, err := os.ReadFile(filepath.Join(configurations(), "common", "internal-tls.conf"))
		if err != nil {
			host.tb.Fatalf("read the nginx configuration: %v", err)
		}
		files["common/internal-tls.conf"] = strings.NewReplacer(
			"/etc/nginx/pushglue/internal.pem", certificate, "/etc/nginx/pushglue/internal.key", key, "/etc/nginx/pushglue/clients.pem", clients,
		).Replace(string(shipped))
	}
}

// NginxUnder runs nginx under another command, which must become nginx by exec, as env does.
func NginxUnder(command ...string) NginxOption {
	return func(host *Nginx, _ map[string]string) { host.under = command }
}

// NginxAddress lets nginx listen on, and take messages from, an address beside 127.0.0.1.
func NginxAddress(address string) NginxOption {
	return func(host *Nginx, _ map[string]string) { host.address = address }
}

// StartNginx runs nginx with module, which is Nchan or PushStream, and a copy of the shipped
// configuration in which only ports, paths and sizes are the test's own. It stops with the test,
// whose log gets nginx's error log if the test failed.
//
// push-stream is in no distribution that CI could install, so its tests are skipped unless
// PUSH_STREAM_MODULE names the module's file.
func StartNginx(tb testing.TB, module string, opts ...NginxOption) *Nginx {
	tb.Helper()
	n := newNginx(tb, module, opts)
	tb.Cleanup(func() {
		n.Stop()
		if tb.Failed() {
			tb.Logf("error log of nginx:\n%s", n.errorLog())
		}
	})
	n.Start()
	return n
}

// newNginx writes the configuration.
func newNginx(tb testing.TB, module string, opts []NginxOption) *Nginx {
	tb.Helper()
	Need(tb, "nginx")
	n := &Nginx{
		tb: tb, dir: tb.TempDir(), module: module, workers: 1,
		public: FreePort(tb), internal: FreePort(tb),
		client: &http.Client{Transport: &http.Transport{}, Timeout: patience},
	}
	if err := os.CopyFS(n.dir, os.DirFS(configurations())); err != nil {
		tb.Fatalf("copy the nginx configuration: %v", err)
	}
	files := make(map[string]string)
	for _, opt := range opts {
		opt(n, files)
	}
	for path, text := range n.ownFiles() {
		n.replace(path, text)
	}
	for path, text := range files {
		n.replace(path, text)
	}
	return n
}

// configurations returns the path of nginx/ in the source tree.
func configurations() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "..", "nginx")
}

// ownFiles returns what a test cannot take from the shipped files: ports that may be in use,
// paths that only root may write, and sizes for a whole machine.
func (n *Nginx) ownFiles() map[string]string {
	listen := "listen 127.0.0.1:%d default_server;\n"
	if n.address != "" {
		listen += "listen " + n.address + ":%[1]d default_server;\n"
	}
	files := map[string]string{
		"common/listen-public.conf":      fmt.Sprintf(listen, n.public),
		"common/listen-internal.conf":    fmt.Sprintf(listen, n.internal),
		"common/paths.conf":              fmt.Sprintf("pid %s/pid;\nerror_log %[1]s/error.log notice;\n", n.dir),
		"common/temp-paths.conf":         tempPaths(n.dir),
		"common/workers.conf":            fmt.Sprintf("%sworker_processes %d;\n", workerUser(), n.workers),
		"common/worker-connections.conf": "worker_connections 4096;\n",
	}
	if n.address != "" {
		files["common/allow-internal.conf"] = fmt.Sprintf("allow 127.0.0.1;\nallow %s/24;\ndeny all;\n", n.address)
	}
	switch n.module {
	case Nchan:
		files["nchan/memory.conf"] = "nchan_shared_memory_size 32m;\n"
	case PushStream:
		module := os.Getenv("PUSH_STREAM_MODULE")
		if module == "" {
			n.tb.Skip("PUSH_STREAM_MODULE is not set: it names the file of nginx's push-stream module")
		}
		files["push-stream/modules.conf"] = fmt.Sprintf("load_module %s;\n", module)
		files["push-stream/memory.conf"] = "push_stream_shared_memory_size 32m;\n"
	default:
		n.tb.Fatalf("no nginx configuration for the module %q", n.module)
	}
	return files
}

func tempPaths(dir string) string {
	var text strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&text, "%s_temp_path %s/temp-%[1]s;\n", kind, dir)
	}
	return text.String()
}

// workerUser keeps workers under the test's own account, which owns the test's directory. Only
// root has a choice.
func workerUser() string {
	if os.Geteuid() == 0 {
		return "user root;\n"
	}
	return ""
}

// Store changes whether a push-stream host keeps messages for readers that come back, from its next
// Start or Reload on.
func (n *Nginx) Store(on bool) {
	n.tb.Helper()
	const path = "push-stream/publish.conf"
	shipped, err := os.ReadFile(filepath.Join(configurations(), path))
	if err != nil {
		n.tb.Fatalf("read the nginx configuration: %v", err)
	}
	text := string(shipped)
	if !on {
		text = strings.Replace(text, "push_stream_store_messages on;", "push_stream_store_messages off;", 1)
		if text == string(shipped) {
			n.tb.Fatalf("%s does not store as shipped", path)
		}
	}
	n.replace(path, text)
}

// replace writes text into a file of the copied tree, which must be one that is shipped.
func (n *Nginx) replace(path, text string) {
	n.tb.Helper()
	path = filepath.Join(n.dir, path)
	if _, err := os.Stat(path); err != nil {
		n.tb.Fatalf("replace a file of the nginx configuration: %v", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		n.tb.Fatalf("replace a file of the nginx configuration: %v", err)
	}
}

// PublicURL returns the base URL of the readers' port, without a slash at its end.
func (n *Nginx) PublicURL() string { return fmt.Sprintf("http://127.0.0.1:%d", n.public) }

// InternalURL returns the base URL of the publishers' port, without a slash at its end.
func (n *Nginx) InternalURL() string { return fmt.Sprintf("http://127.0.0.1:%d", n.internal) }

// SecureURL is InternalURL over TLS, with NginxTLS.
func (n *Nginx) SecureURL() string { return fmt.Sprintf("https://127.0.0.1:%d", n.secure) }

// command returns nginx with this host's configuration and further arguments.
func (n *Nginx) command(args ...string) *exec.Cmd {
	path, err := lookPath("nginx")
	if err != nil {
		n.tb.Fatalf("find nginx: %v", err)
	}
	args = append([]string{path, "-p", n.dir, "-c", filepath.Join(n.dir, n.module, "nginx.conf")}, args...)
	args = append(slices.Clone(n.under), args...)
	return exec.Command(args[0], args[1:]...)
}

// Start runs nginx on the same ports as before, and returns when it answers.
func (n *Nginx) Start() {
	n.tb.Helper()
	if n.process != nil {
		n.tb.Fatal("start nginx: it runs already")
	}
	n.stderr.Reset()
	process := n.command("-g", "daemon off;")
	process.Stderr = &n.stderr
	if err := process.Start(); err != nil {
		n.tb.Fatalf("start nginx: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = process.Wait() // how it ended is in its logs
		close(exited)
	}()
	n.process, n.exited = process, exited

	n.await("answer", func() bool {
		resp, err := n.client.Get(n.InternalURL() + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Stop ends nginx and its streams at once. It does nothing if nginx does not run.
func (n *Nginx) Stop() {
	n.tb.Helper()
	if n.process == nil {
		return
	}
	process, exited := n.process, n.exited
	n.process = nil
	if err := process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.tb.Errorf("stop nginx: %v", err)
	}
	select {
	case <-exited:
	case <-time.After(patience):
		n.tb.Error("stop nginx: it does not end, so it is killed")
		_ = process.Process.Kill() // it may have ended by itself meanwhile
		<-exited
	}
	n.client.CloseIdleConnections()
}

// Reload makes nginx read its configuration again, and returns when new workers serve all new
// connections. Streams stay with the old ones.
func (n *Nginx) Reload() {
	n.tb.Helper()
	const farewell = "gracefully shutting down"
	before := strings.Count(n.errorLog(), farewell)
	if err := n.process.Process.Signal(syscall.SIGHUP); err != nil {
		n.tb.Fatalf("reload nginx: %v", err)
	}
	n.await("reload", func() bool {
		return strings.Count(n.errorLog(), farewell) >= before+n.workers
	})
}

// await polls a condition that nginx has no way of announcing.
func (n *Nginx) await(what string, done func() bool) {
	n.tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-n.exited:
			n.tb.Fatalf("nginx ended: %s", n.stderr.String())
		case <-deadline:
			n.tb.Fatalf("nginx does not %s within %v", what, patience)
		}
	}
}

func (n *Nginx) errorLog() string {
	text, err := os.ReadFile(filepath.Join(n.dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
