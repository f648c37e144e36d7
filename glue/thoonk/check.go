package thoonk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Check asks whether a Redis can hold feeds. Every master of a cluster is asked.
//
// The error says that it cannot, or that it does not answer. Warnings say what an operator
// should look at: a memory policy that throws jobs away when Redis is full, or what the server does
// not tell, for lack of permission or because it is no genuine Redis.
func Check(ctx context.Context, rdb redis.UniversalClient) (warnings []string, err error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		warnings, err = checkServer(ctx, rdb)
		if err != nil {
			return nil, fmt.Errorf("check Redis: %w", err)
		}
		return warnings, nil
	}
	var mu sync.Mutex
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found, err := checkServer(ctx, node)
		if err != nil {
			return fmt.Errorf("check Redis node %s: %w", node.Options().Addr, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, warning := range found {
			warnings = append(warnings, "node "+node.Options().Addr+": "+warning)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(warnings)
	return warnings, nil
}

func checkServer(ctx context.Context, rdb redis.Cmdable) (warnings []string, err error) {
	// A connection that cannot be set up says so here; after this, an ERR is about the command.
	if err := rdb.Ping(ctx).Err(); err != nil && !redis.HasErrorPrefix(err, "NOPERM") {
		return nil, err
	}
	server, refusal, err := info(ctx, rdb, "server")
	if err != nil {
		return nil, err
	}
	if refusal != "" {
		warnings = append(warnings, "the version of Redis is unknown ("+refusal+"); feeds need 6.2 or later")
	} else if err := checkVersion(server); err != nil {
		return nil, err
	}
	memory, refusal, err := info(ctx, rdb, "memory")
	if err != nil {
		return nil, err
	}
	policy := memory["maxmemory_policy"]
	switch {
	case refusal != "":
		warnings = append(warnings, "the maxmemory-policy of Redis is unknown ("+refusal+"); it should be noeviction, or a full Redis throws jobs away")
	case policy == "":
		warnings = append(warnings, "the maxmemory-policy of Redis is unknown; it should be noeviction, or a full Redis throws jobs away")
	case policy != "noeviction":
		warnings = append(warnings, "the maxmemory-policy of Redis is "+policy+": a full Redis throws jobs away; set it to noeviction")
	}
	return warnings, nil
}

// checkVersion wants what the scripts use: RPOP with a count, ZMSCORE, SMISMEMBER, BLMOVE.
func checkVersion(server map[string]string) error {
	if server["redis_mode"] == "sentinel" {
		return errors.New("this is a Sentinel, not a Redis that it watches; add master_name=NAME to the URL")
	}
	version := server["redis_version"]
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errMajor := strconv.Atoi(major)
	b, errMinor := strconv.Atoi(minor)
	if errMajor != nil || errMinor != nil {
		return fmt.Errorf("the server's version %q is none of Redis; feeds need Redis 6.2 or later", version)
	}
	if a < 6 || a == 6 && b < 2 {
		return fmt.Errorf("version %s of Redis is too old: feeds need 6.2 or later; upgrade the server, or name another one", version)
	}
	return nil
}

// info returns the fields of one section of INFO, or the server's words when it refuses to tell.
func info(ctx context.Context, rdb redis.Cmdable, section string) (fields map[string]string, refusal string, err error) {
	text, err := rdb.Info(ctx, section).Result()
	if isRefusal(err) {
		return nil, err.Error(), nil
	}
	if err != nil {
		return nil, "", err
	}
	fields = map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, "", nil
}

// isRefusal tells a server that does not know or allow a command from one that cannot be used at
// all: because it wants a password (NOAUTH, WRONGPASS), is not ready (LOADING, CLUSTERDOWN), or the like.
func isRefusal(err error) bool {
	var said redis.Error
	if !errors.As(err, &said) {
		return false
	}
	code, _, _ := strings.Cut(said.Error(), " ")
	return code == "ERR" || code == "NOPERM" || code != strings.ToUpper(code)
}
