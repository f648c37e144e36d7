package main

import (
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// TestLimits has put, try and the daemon refuse the same: a payload that is too long, and one that is nested too deep.
func TestLimits(t *testing.T) {
	const most = 4096
	workdir(t, goodPipelines)
	store := service.StartRedis(t)
	settings := []string{"REDIS_URL=" + store.URL(), "MAX_PAYLOAD=4096", "PUSH_HOSTS=http://" + nobody(t)}
	env := environment(settings...)
	fits := `{"id":"fits","s":"` + strings.Repeat("x", most-len(`{"id":"fits","s":""}`)) + `"}`
	long := `{"id":"long","s":"` + strings.Repeat("x", most) + `"}`
	deep := strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)

	for payload, want := range map[string]string{
		long: "payload has 4116 bytes, more than",
		deep: "JSON is nested deeper than 128 levels",
	} {
		if code, stdout, stderr := invoke(t, payload, env, "put", "f"); code != 1 || !strings.Contains(stderr, want) || strings.Contains(stderr, "xxx") {
			t.Errorf("put: exit code %d\n%s%.2000s\nwant %s", code, stdout, stderr, want)
		}
		if code, stdout, stderr := invoke(t, payload, env, "try", "p"); code != 1 || !strings.Contains(stdout, "fails for good: ") || !strings.Contains(stdout, want) {
			t.Errorf("try: exit code %d\n%.2000s%s\nwant %s", code, stdout, stderr, want)
		}
	}
	if code, _, stderr := invoke(t, long, env, "put", "f", "--raw"); code != 1 || !strings.Contains(stderr, "MAX_PAYLOAD") {
		t.Errorf("put --raw: exit code %d\n%.2000s", code, stderr)
	}
	// On a feed that the daemon does not work on: a job that goes on waits for a push host, and all others behind it.
	if code, stdout, stderr := invoke(t, fits, env, "put", "g"); code != 0 {
		t.Errorf("put: exit code %d\n%s%.2000s", code, stdout, stderr)
	}

	daemon := startDaemon(t, settings...)
	feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Put(t.Context(), [][]byte{[]byte(long), []byte(deep)}, thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is too much is stalled", func() bool {
		counts, err := feed.Counts(t.Context())
		return err == nil && counts.Stalled == 2
	})
	daemon.Stop()
	log := daemon.Log()
	if strings.Contains(log, "xxx") || !strings.Contains(log, "more than 4096") || !strings.Contains(log, "nested deeper") {
		t.Errorf("the log does not tell why, or tells too much")
	}
}
