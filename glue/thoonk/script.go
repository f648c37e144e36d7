package thoonk

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"strconv"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

var (
	putScript     = newScript("put")
	claimScript   = newScript("claim")
	settleScript  = newScript("settle")
	extendScript  = newScript("extend")
	reapScript    = newScript("reap")
	electScript   = newScript("elect")
	resignScript  = newScript("resign")
	sweepScript   = newScript("sweep")
	cancelScript  = newScript("cancel")
	recoverScript = newScript("recover")
	retryScript   = newScript("retry")
	retractScript = newScript("retract")
	purgeScript   = newScript("purge")
	olderScript   = newScript("older")
	spanScript    = newScript("span")
)

// script is a Lua script that Redis knows by its digest once it has seen it. It takes the place of
// redis.Script, whose untyped replies cost an allocation and a type switch for every element.
type script struct{ source, digest string }

func newScript(name string) script {
	source, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // the binary was built without its scripts
	}
	sum := sha1.Sum(source)
	return script{source: string(source), digest: hex.EncodeToString(sum[:])}
}

// call is the arguments of a script's call, which grow by append.
type call []any

// call begins a call with keys and room for n arguments.
func (s script) call(n int, keys ...string) call {
	c := make(call, 0, 3+len(keys)+n)
	c = append(c, "evalsha", s.digest, strconv.Itoa(len(keys)))
	for _, key := range keys {
		c = append(c, key)
	}
	return c
}

// anySlice makes arguments of ids.
func anySlice(ids []string) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return args
}

// strings runs the script and returns its reply, an array of strings.
func (s script) strings(ctx context.Context, rdb redis.UniversalClient, c call) ([]string, error) {
	return run(ctx, rdb, s, c, redis.NewStringSliceCmd).Result()
}

// stringsOnce is strings for a script that must not be repeated when its answer is lost.
func (s script) stringsOnce(ctx context.Context, rdb redis.UniversalClient, c call) ([]string, error) {
	return run(ctx, rdb, s, c, newOnceCmd).Result()
}

// onceCmd is a command that a cluster's client, too, repeats only where it was not executed: on a redirection.
type onceCmd struct{ *redis.StringSliceCmd }

func newOnceCmd(ctx context.Context, args ...any) onceCmd {
	return onceCmd{redis.NewStringSliceCmd(ctx, args...)}
}

// NoRetry implements redis.Cmder.
func (onceCmd) NoRetry() bool { return true }

// counted runs the script and returns its reply, an array of a number and ids.
func (s script) counted(ctx context.Context, rdb redis.UniversalClient, c call) (n int, ids []string, err error) {
	reply, err := s.strings(ctx, rdb, c)
	if err != nil {
		return 0, nil, err
	}
	n, err = strconv.Atoi(reply[0])
	return n, reply[1:], err
}

// text runs the script and returns its reply, a string.
func (s script) text(ctx context.Context, rdb redis.UniversalClient, c call) (string, error) {
	return run(ctx, rdb, s, c, redis.NewStringCmd).Result()
}

// integer runs the script and returns its reply, an integer.
func (s script) integer(ctx context.Context, rdb redis.UniversalClient, c call) (int64, error) {
	return run(ctx, rdb, s, c, redis.NewIntCmd).Result()
}

// run makes the call by the script's digest, and by its source if the server does not know it yet.
func run[C redis.Cmder](ctx context.Context, rdb redis.UniversalClient, s script, c call, newCmd func(context.Context, ...any) C) C {
	cmd := newCmd(ctx, c...)
	if err := rdb.Process(ctx, cmd); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return cmd
	}
	c[0], c[1] = "eval", s.source
	cmd = newCmd(ctx, c...)
	_ = rdb.Process(ctx, cmd) // the command keeps the error
	return cmd
}
