package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// TestTheMigratingDocument does what docs/migrating.md says, in its order, to a feed that has been worked on by workers of each dialect.
func TestTheMigratingDocument(t *testing.T) {
	for _, dialect := range []thoonk.Dialect{thoonk.ThoonkPy, thoonk.ThoonkJS} {
		t.Run(dialect.String(), func(t *testing.T) { migrate(t, dialect) })
	}
}

func migrate(t *testing.T, dialect thoonk.Dialect) {
	text := read(t, "../../docs/migrating.md")
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	dark := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
	if len(blocks) != 9 || dark == nil {
		t.Fatalf("it has %d blocks: %q", len(blocks), blocks)
	}
	env := onPath(t)
	store, host := service.StartRedis(t), service.StartNginx(t, service.Nchan)
	rdb := store.Client(t)
	jobs := strings.Split(strings.TrimSpace(read(t, "starter/jobs.jsonl")), "\n")
	t.Chdir(t.TempDir())
	do := func(block string) string { return shell(t, env, block) }

	// An old worker has claimed a job and died, and has stalled another one.
	if _, err := conform.RawPut(t.Context(), rdb, dialect, "comments", append(jobs, jobs[:2]...)...); err != nil {
		t.Fatal(err)
	}
	old := conform.NewRawWorker(t, rdb, dialect, "comments")
	for _, settle := range []func(string) bool{func(string) bool { return true }, old.Stall} {
		id := old.Pop()
		if _, found := old.Take(id); !found || !settle(id) {
			t.Fatal("the old worker does not work")
		}
	}

	// 1
	do(blocks[0])
	settings := strings.NewReplacer(
		"redis://127.0.0.1:6379/0", store.URL(), "http://127.0.0.1:9080", host.InternalURL(), "127.0.0.1:9070", nobody(t), "DIALECT=thoonk.py", "DIALECT="+dialect.String(),
	).Replace(read(t, "glue/environment"))
	if err := os.WriteFile("glue/environment", []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := func(got string, want ...string) {
		t.Helper()
		for _, part := range want {
			if !regexp.MustCompile(part).MatchString(got) {
				t.Errorf("got\n%s\nwant %s", got, part)
			}
		}
	}
	load, _, _ := strings.Cut(blocks[1], "\n")
	expect(do(blocks[1]), `queued +3\b`, `claimed +1\b`, `stalled +1\b`)

	// 2
	do(load + "\n" + blocks[2])
	expect(do(load+"\n"+blocks[3]), `3 jobs: 3 messages to publish, 0 dropped, 0 failed`)

	// 3
	pipelines := read(t, "glue/pipelines.yml")
	if err := os.WriteFile("glue/pipelines.yml", []byte(dark[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(do(load+"\npushglue check"), `darktime ─ darkesttime ─► push +dark`)
	if err := os.WriteFile("glue/pipelines.yml", []byte(pipelines), 0o600); err != nil {
		t.Fatal(err)
	}

	// 4
	check, run, _ := strings.Cut(blocks[4], "\n")
	expect(do(load+"\n"+check), "redis answers")
	daemon := service.StartDaemon(t, env, "sh", "-euc", load+"\nexec env "+run)
	eventually(t, "the queue is empty", func() bool {
		return regexp.MustCompile(`queued +0\b`).MatchString(do(load + "\npushglue jobs comments --over 0"))
	})
	daemon.Stop()

	// 5
	expect(do(load+"\n"+blocks[5]), `1 of 1 claimed job|CLAIMED`, `cancelled 1 job\b`)
	daemon = service.StartDaemon(t, env, "sh", "-euc", load+"\nexec env "+blocks[6])
	expect(do(load+"\n"+blocks[7]), `STALLED`, `retried 1 job\b`)
	eventually(t, "all is done", func() bool {
		return regexp.MustCompile(`"finished": *5\b`).MatchString(do(load + "\npushglue jobs comments --over 0 --json"))
	})
	daemon.Stop()

	// 6
	do(load + "\n" + blocks[8])
	conform.OnlyCounters(t, rdb, dialect, "comments")
	if keys, err := rdb.Keys(t.Context(), "*pushglue*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("left: %q, %v", keys, err)
	}
}
