package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// Words that are in every secret, and in every payload.
const (
	plantedWord    = "plantedsecret"
	plantedPayload = "plantedpayload"
)

// shown is everything that pushglue has said, with what said it.
type shown map[string]string

// check makes sure that none of words is in it.
func (s shown) check(t *testing.T, words ...string) {
	t.Helper()
	for what, text := range s {
		for _, word := range words {
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("%s shows %s: …%s…", what, word, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
}

// TestSecretsAndPayloadsAreNotShown plants words in every secret and every field of jobs, good and bad ones, and looks for
// them in all that pushglue says.
func TestSecretsAndPayloadsAreNotShown(t *testing.T) {
	path := shippedPipelines(t)
	key := fmt.Sprintf("%x", []byte(plantedWord+plantedWord+"123456"))
	if raw, err := hex.DecodeString(key); err != nil || len(raw) != 32 {
		t.Fatalf("the key has %d bytes, %v", len(raw), err)
	}
	store := service.StartRedis(t, "--requirepass", plantedWord)
	authorization := "Bearer " + plantedWord
	host := service.StartNginx(t, service.Nchan, service.NginxFile("common/allow-internal.conf",
		fmt.Sprintf("set $stranger $request_method$uri;\nif ($http_authorization = %q) { set $stranger \"\"; }\nif ($stranger = POST/publish) { return 401; }\n", authorization)))
	good := []string{
		"REDIS_URL_FILE=" + writeSecret(t, "redis://:"+plantedWord+"@"+store.Addr+"\n"), "PIPELINES=" + path,
		"ANONYMIZE_KEY_FILE=" + writeSecret(t, plantedWord+plantedWord), "ENCRYPT_KEY_FILE=" + writeSecret(t, key),
		"PRIVATE_KEY_FILE=" + writeSecret(t, plantedWord+plantedWord+plantedWord), "PUSH_AUTHORIZATION_FILE=" + writeSecret(t, authorization),
		"PUSH_HOSTS=" + host.InternalURL(), "HTTP_TOKEN_FILE=" + writeSecret(t, plantedWord+plantedWord),
		"LOG_LEVEL=debug", "MAX_PAYLOAD=20000", "RETRY_BUDGET=10ms", "ATTEMPTS=1",
	}
	secrets := []string{plantedWord, key}
	said := shown{}
	say := func(what string, code, want int, texts ...string) {
		t.Helper()
		if code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", what, code, want, strings.Join(texts, ""))
		}
		said[what] = strings.Join(texts, "")
	}
	run := func(what string, want int, settings []string, stdin string, args ...string) {
		t.Helper()
		code, stdout, stderr := invoke(t, stdin, environment(settings...), args...)
		say(what, code, want, stdout, stderr)
	}

	// Commands that go well, and that do not.
	run("check", 0, good, "", "check")
	run("check --connect", 0, good, "", "check", "--connect")
	run("run --help", 0, good, "", "run", "--help")
	run("sign", 0, good, "", "sign", "private:ann")
	for name, change := range map[string]string{
		"REDIS_URL_FILE":          "redis://:" + plantedWord + "%@" + store.Addr,
		"REDIS_URL_FILE (scheme)": "http://:" + plantedWord + "@" + store.Addr,
		"REDIS_URL_FILE (wrong)":  "redis://:x" + plantedWord + "@" + store.Addr,
		"ENCRYPT_KEY_FILE":        plantedWord, "ANONYMIZE_KEY_FILE": plantedWord[:10], "PUSH_AUTHORIZATION_FILE": plantedWord + "\nX: y",
		"HTTP_TOKEN": plantedWord, "HTTP_TOKEN_FILE": plantedWord[:10],
		"REDIS_URL": "redis://:" + plantedWord + "@" + store.Addr, "ENCRYPT_KEY": key, "PUSH_AUTHORIZATION": authorization,
	} {
		variable, _, _ := strings.Cut(name, " ")
		if strings.HasSuffix(variable, "_FILE") {
			change = writeSecret(t, change)
		}
		for _, args := range [][]string{{"check", "--connect"}, {"run"}} {
			run(strings.Join(args, " ")+" with another "+name, 1, append(good, variable+"="+change), "", args...)
		}
	}
	run("sign with a short key", 1, append(good, "PRIVATE_KEY_FILE="+writeSecret(t, plantedWord[:10])), "", "sign", "private:ann")

	// Jobs.
	var payloads [][]byte
	for i := range 4 {
		payloads = append(payloads, fmt.Appendf(nil, `{"id":"ok%d","event":"post_save","post":%[1]d,"forum":"f","thread":%[1]d,"author":{"id":"%[2]s","username":"u","name":"%[2]s","email":"%[2]s@x","ip":"%[2]s"},"message":"<b>%[2]s</b>"}`, i, plantedPayload))
	}
	for _, bad := range []string{
		`%s`, `{"%s":1,"%[1]s":2}`, `{"id":"%s ä"}`, `{"id":"1","event":"%s\n"}`, `{"id":"b1","author":"%s"}`, `{"id":"b2","author":{"id":{"%s":1}}}`, `{"id":"b3","forum":"%s/x"}`,
		`{"id":"b4","forum":{"%s":1}}`, `{"id":"b5","message":{"%s":1}}`, `{"id":"b6","forum":"%s*"}`, `["%s"]`, `{"id":"b7","message":"` + strings.Repeat("%[1]s", 2000) + `"}`, "{\"id\":\"b8\",\"%s\xff\":1}",
	} {
		payloads = append(payloads, fmt.Appendf(nil, bad, plantedPayload))
	}
	for i, payload := range payloads[4:] {
		code, _, stderr := invoke(t, string(payload), environment(good...), "put", "comments")
		say(fmt.Sprintf("put %d", i), code, code, stderr)
		_, stdout, stderr := invoke(t, string(payload), environment(good...), "try", "JSONSecureHTTP")
		said[fmt.Sprintf("try's report %d", i)] = stderr
		shown{"try": stdout}.check(t, secrets...) // it shows its caller's payload
	}

	// The daemon, with a host that it may publish to, one that it may not, and none.
	http1 := fmt.Sprintf("127.0.0.1:%d", service.FreePort(t))
	rdb := redis.NewClient(&redis.Options{Addr: store.Addr, Password: plantedWord})
	defer rdb.Close()
	for name, change := range map[string][]string{
		"all is well": nil, "a wrong header": {"PUSH_AUTHORIZATION_FILE=" + writeSecret(t, authorization+"x")}, "a host that is not there": {"PUSH_HOSTS=http://" + nobody(t)},
	} {
		feed, err := thoonk.NewFeed(rdb, "comments", thoonk.ThoonkPy)
		if err != nil {
			t.Fatal(err)
		}
		before, err := feed.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := feed.Put(t.Context(), payloads, thoonk.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		daemon := startDaemon(t, append(append(good, "HTTP_ADDR="+http1), change...)...)
		eventually(t, "the bad jobs are stalled, or all wait", func() bool {
			counts, err := feed.Counts(t.Context())
			return err == nil && counts.Stalled >= before.Stalled+13 || strings.Contains(daemon.Log(), "nobody takes messages")
		})
		for _, path := range []string{"/ledger", "/status", "/hosts", "/metrics"} {
			resp, err := http.Get("http://" + http1 + path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			said[path+", "+name] = string(text)
		}
		run("top, "+name, 0, append(good, "HTTP_ADDR="+http1), "", "top", "--once")
		daemon.Stop()
		said["the log, "+name] = daemon.Log()
	}
	run("jobs", 0, good, "", "jobs", "comments")
	run("jobs list", 0, good, "", "jobs", "comments", "list", "stalled")
	said.check(t, append(secrets, plantedPayload)...)
	// The words are where they should be, so that not finding them elsewhere means something.
	if text, err := os.ReadFile("comments.firehose.jsonl"); err != nil || !strings.Contains(string(text), plantedPayload) {
		t.Errorf("the file has not what was put: %v", err)
	}
}
