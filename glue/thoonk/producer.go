package thoonk

import (
	"context"
	"fmt"
)

// chunkBytes is how much payload one call of the put script takes, beyond its first job. Redis
// refuses requests over 1 GB, and serves nobody else while it reads one.
const chunkBytes = 8 << 20

// PutOptions say how jobs are put.
type PutOptions struct {
	// Priority puts the jobs at the head of the feed, in their order, before all that is there.
	Priority bool

	// IDs are the ids of the jobs: of NewID, one for each payload. Without them Put makes some.
	IDs []string
}

// Put adds one job for each payload, in order, and returns their ids: ids[i] is that of payloads[i],
// 32 hex digits. Up to 1,000 jobs and about 8 MiB go in one atomic step and round trip.
// It keeps no payload.
//
// The first Put of a Feed makes sure that the feed exists. It is an error if the name is in use
// for something else than a job feed.
//
// With an error, ids still holds the ids of the jobs that were put, and "" for the others. A job
// whose put was not answered may be there nevertheless.
//
// Source: contract.txt, "Normal Priority Put" and "High Priority Put".
func (f *Feed) Put(ctx context.Context, payloads [][]byte, options PutOptions) (ids []string, err error) {
	ids = make([]string, len(payloads))
	if len(payloads) == 0 {
		return ids, nil
	}
	if err := f.create(ctx); err != nil {
		return ids, f.failed("put on", err)
	}
	command := "LPUSH"
	place := func(i int) int { return i }
	if options.Priority {
		// What is pushed last comes out first.
		command = "RPUSH"
		place = func(i int) int { return len(payloads) - 1 - i }
	}
	for next := 0; next < len(payloads); {
		first := next
		fresh := make([]string, 0, min(chunk, len(payloads)-first))
		args := putScript.call(2+2*cap(fresh), f.keys.ids, f.keys.items, f.keys.published, f.keys.publishes)
		args = append(args, command, f.notices.put)
		for size := 0; next < len(payloads) && len(fresh) < chunk && size < chunkBytes; next++ {
			payload := payloads[place(next)]
			size += len(payload)
			fresh = append(fresh, options.id(place(next)))
			args = append(args, fresh[len(fresh)-1], payload)
		}
		if _, err := putScript.integer(ctx, f.rdb, args); err != nil {
			return ids, f.failed("put on", err)
		}
		for i, id := range fresh {
			ids[place(first+i)] = id
		}
	}
	return ids, nil
}

// NewID returns the id of a new job: 32 hex digits.
func NewID() string { return newID() }

func (o PutOptions) id(i int) string {
	if o.IDs == nil {
		return newID()
	}
	return o.IDs[i]
}

// create makes the feed known to others, once for each Feed. Its steps are no transaction, for on
// a Redis Cluster the set of feeds lives elsewhere: each can be repeated, and the configuration
// comes first, so that whoever finds the feed finds its type.
func (f *Feed) create(ctx context.Context) error {
	if f.exists.Load() {
		return nil
	}
	if err := f.rdb.HSetNX(ctx, f.keys.config, "type", "job").Err(); err != nil {
		return err
	}
	kind, err := f.rdb.HGet(ctx, f.keys.config, "type").Result()
	if err != nil {
		return err
	}
	if kind != "job" {
		return fmt.Errorf("it exists and holds no jobs: its type is %q", kind)
	}
	added, err := f.rdb.SAdd(ctx, f.keys.feeds, f.name).Result()
	if err != nil {
		return err
	}
	if added > 0 {
		if err := f.rdb.Publish(ctx, "newfeed", f.name+"\x00"+f.instance).Err(); err != nil {
			return err
		}
	}
	f.exists.Store(true)
	return nil
}
