package service

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTime is how long a server may take until it answers. It only bounds a test that fails.
const startTime = 20 * time.Second

// Redis is a real redis-server for one test.
type Redis struct {
	Addr   string // host:port
	Socket string // path of its unix socket

	tb      testing.TB
	dir     string
	command []string // with what runs it, if it runs under something
	log     *os.File

	process *os.Process
	exited  chan struct{} // closed when the process has ended; nil before the first start
}

// StartRedis starts a redis-server on a free port and returns when it answers. It keeps nothing on
// disk unless args say so, which follow the defaults: "--appendonly", "yes". The server stops at
// the end of the test, which shows the server's log if it failed.
func StartRedis(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	return StartRedisUnder(tb, nil, args...)
}

// StartRedisUnder is StartRedis under another command, which must become redis-server by exec, as
// env and ip netns exec do.
func StartRedisUnder(tb testing.TB, under []string, args ...string) *Redis {
	tb.Helper()
	Need(tb, "redis-server")
	path, err := lookPath("redis-server")
	if err != nil {
		tb.Fatalf("find redis-server: %v", err)
	}
	// The directory is not tb.TempDir's: a unix socket's path has 107 bytes at most.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		tb.Fatalf("make a directory for redis-server: %v", err)
	}
	port := strconv.Itoa(FreePort(tb))
	r := &Redis{
		Addr:   net.JoinHostPort("127.0.0.1", port),
		Socket: filepath.Join(dir, "redis.sock"),
		tb:     tb,
		dir:    dir,
	}
	r.command = slices.Concat(under, []string{
		path, "--bind", "127.0.0.1", "--port", port, "--unixsocket", r.Socket, "--dir", dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, args)
	r.log, err = os.Create(filepath.Join(dir, "redis.log"))
	if err != nil {
		tb.Fatalf("make a log for redis-server: %v", err)
	}
	tb.Cleanup(r.cleanup)
	r.Start()
	return r
}

// Start starts the server after Stop, on the same port and directory, and returns when it answers.
func (r *Redis) Start() {
	r.tb.Helper()
	cmd := exec.Command(r.command[0], r.command[1:]...)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		r.tb.Fatalf("start redis-server: %v", err)
	}
	exited := make(chan struct{})
	r.process, r.exited = cmd.Process, exited
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	for deadline := time.Now().Add(startTime); !r.answers(); {
		select {
		case <-exited:
			r.tb.Fatal("redis-server ended at its start")
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			r.tb.Fatalf("redis-server does not answer on %s", r.Addr)
		}
	}
}

// answers tells whether the server takes commands, be it only to ask for a password.
func (r *Redis) answers() bool {
	conn, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && !strings.HasPrefix(answer, "-LOADING")
}

// Stop ends the server by SIGTERM, at which it writes what its settings make it keep, and returns
// when it has ended. It does nothing if it has ended already.
func (r *Redis) Stop() { r.end(syscall.SIGTERM) }

// Kill ends the server by SIGKILL: a crash.
func (r *Redis) Kill() { r.end(syscall.SIGKILL) }

// Pause stops the server where it stands, and Continue lets it go on: a machine that hangs.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Continue ends Pause.
func (r *Redis) Continue() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(signal syscall.Signal) {
	r.tb.Helper()
	if err := r.process.Signal(signal); err != nil {
		r.tb.Errorf("send redis-server the signal %v: %v", signal, err)
	}
}

func (r *Redis) end(signal syscall.Signal) {
	if r.exited == nil {
		return
	}
	_ = r.process.Signal(signal) // fails when the process has ended
	select {
	case <-r.exited:
	case <-time.After(startTime):
		_ = r.process.Kill() // fails when the process has ended
		<-r.exited
		r.tb.Errorf("redis-server did not end at signal %v", signal)
	}
}

func (r *Redis) cleanup() {
	r.Stop()
	r.log.Close()
	if r.tb.Failed() {
		log, _ := os.ReadFile(r.log.Name())
		r.tb.Logf("log of %v:\n%s", r.command, log)
	}
	if err := os.RemoveAll(r.dir); err != nil {
		r.tb.Errorf("remove the directory of redis-server: %v", err)
	}
}

// URL returns the URL of the server's database 0.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Client returns a client of the server that is closed at the end of the test.
func (r *Redis) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr})
	tb.Cleanup(func() { rdb.Close() })
	return rdb
}
