//go:build e2e

package compose

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// command is how compose is called.
var command = flag.String("compose", "docker-compose", `"docker-compose" or "docker compose"`)

// patience bounds every wait of the tests but that for images; none is expected to come near it.
const patience = 60 * time.Second

const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
)

// stack is what docker-compose.yml describes, in a project of its own and on free ports, beside whatever else runs.
type stack struct {
	project string
	ports   map[string]int // by variable
	isDown  bool
}

// up brings it up, and returns when all is healthy. It goes down with the test at the latest.
func up(t *testing.T) *stack {
	t.Helper()
	s := &stack{project: fmt.Sprintf("pushglue-e2e-%d", os.Getpid()), ports: map[string]int{}}
	for _, variable := range []string{"WEB_PORT", "PUSH1_PORT", "PUSH2_PORT", "DAEMON_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"} {
		s.ports[variable] = service.FreePort(t)
	}
	t.Cleanup(func() { s.down(t) })
	start := time.Now()
	s.compose(t, "build")
	built := time.Now()
	s.compose(t, "up", "-d")
	eventually(t, "all is healthy", func() bool {
		for _, c := range s.containers(t) {
			if c.State.Health != nil && c.State.Health.Status != "healthy" {
				return false
			}
		}
		return true
	})
	t.Logf("images are built after %s, all is healthy %s later", built.Sub(start).Round(time.Second), time.Since(built).Round(time.Second))
	return s
}

// down removes all of it, its data and its images. Of a test that has failed it shows the logs.
func (s *stack) down(t *testing.T) {
	t.Helper()
	if !s.isDown {
		s.isDown = true
		if t.Failed() {
			t.Log(s.compose(t, "--profile", "monitoring", "logs", "--no-color", "--tail", "100"))
		}
		s.compose(t, "--profile", "monitoring", "down", "--volumes", "--remove-orphans", "--rmi", "local")
	}
}

func (s *stack) leavesNothing(t *testing.T) {
	t.Helper()
	mine := "label=" + projectLabel + "=" + s.project
	for _, list := range [][]string{
		{"ps", "--all", "--quiet", "--filter", mine},
		{"network", "ls", "--quiet", "--filter", mine},
		{"volume", "ls", "--quiet", "--filter", mine},
		{"image", "ls", "--quiet", "--filter", "reference=" + s.project + "*"},
	} {
		if left := s.run(t, "docker", list...); left != "" {
			t.Errorf("docker %s:\n%s", strings.Join(list, " "), left)
		}
	}
}

// compose carries out a command of compose, and returns what it prints.
func (s *stack) compose(t *testing.T, args ...string) string {
	t.Helper()
	words := strings.Fields(*command)
	return s.run(t, words[0], append(words[1:], args...)...)
}

func (s *stack) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+s.project)
	for variable, port := range s.ports {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", variable, port))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, &stdout, &stderr)
	}
	return stdout.String()
}

// container is what "docker inspect" tells of one.
type container struct {
	Config struct {
		User   string
		Labels map[string]string
	}
	State struct {
		Health *struct{ Status string }
	}
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
		SecurityOpt    []string
		Memory         int64
		PidsLimit      *int64
		PortBindings   map[string][]struct {
			HostIP string `json:"HostIp"`
		}
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func (s *stack) containers(t *testing.T) []container {
	t.Helper()
	ids := strings.Fields(s.run(t, "docker", "ps", "--all", "--quiet", "--filter", "label="+projectLabel+"="+s.project))
	var found []container
	if err := json.Unmarshal([]byte(s.run(t, "docker", append([]string{"inspect"}, ids...)...)), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// url is where a service is that has the port of this variable.
func (s *stack) url(variable string) string {
	return fmt.Sprintf("http://127.0.0.1:%d", s.ports[variable])
}

// pushHosts returns the origins of the push hosts.
func (s *stack) pushHosts() []string {
	return []string{s.url("PUSH1_PORT"), s.url("PUSH2_PORT")}
}

// get returns what a service answers, or why it does not.
func (s *stack) get(variable, path string) string {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(s.url(variable) + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}
