package examples

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// nodePut runs the command of examples/node with Debian's package redis.
func nodePut(ctx context.Context, t *testing.T, url, input string) (output string, err error) {
	t.Helper()
	service.NeedFile(t, "/usr/bin/node", "nodejs")
	service.NeedFile(t, "/usr/share/nodejs/redis", "node-redis")
	cmd := exec.CommandContext(ctx, "node", "put.js", "comments")
	cmd.Dir, cmd.Stdin = "node", strings.NewReader(input)
	cmd.Env = append(os.Environ(), "NODE_PATH=/usr/share/nodejs", "REDIS_URL="+url)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestNode has envelopes of a Node producer come to a reader, in order.
func TestNode(t *testing.T) {
	t.Parallel()
	store := service.StartRedis(t)
	host := service.StartNginx(t, service.Nchan)
	const posts = 20
	page := read(t, host, "thread:9007199254740993") // more than a number of JavaScript can hold
	var input strings.Builder
	for i := range posts {
		fmt.Fprintf(&input, `{"id": "c%d.1", "event": "post_save", "post": %[1]d, "thread": 9007199254740993, "message": "Grüße"}`+"\n", i)
	}
	out, err := nodePut(t.Context(), t, store.URL(), input.String())
	if err != nil || strings.Count(out, "\n") != posts {
		t.Fatalf("%v: %s", err, out)
	}
	checkFeed(t, store, posts)
	startDaemon(t, os.Getenv(binaryVariable), "pipelines.yml", store, host)
	for i := range posts {
		got := page.next()
		if want := (message{Type: "post_save", ID: fmt.Sprintf("c%d.1", i), Post: json.RawMessage(fmt.Sprint(i)), Message: "Grüße"}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("a reader gets %+v, want %+v", got, want)
		}
	}
}

// TestNodeSaysWhatIsWrong has the command end with an error.
func TestNodeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	store := service.StartRedis(t)
	for name, test := range map[string]struct{ url, input, want string }{
		"no object": {store.URL(), `[1]`, "put: line 1 is no JSON object\n"},
		"no Redis":  {fmt.Sprintf("redis://127.0.0.1:%d", service.FreePort(t)), `{"id":1}`, "put: "},
	} {
		if out, err := nodePut(t.Context(), t, test.url, test.input); err == nil || !strings.HasPrefix(out, test.want) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
