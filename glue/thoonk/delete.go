package thoonk

import "context"

// Delete removes the feed with all its jobs, and tells who listens for it. Nobody else may use it meanwhile: a put
// in the middle would leave a part of a job.
//
// Source: contract.txt, "Delete Feed".
func (f *Feed) Delete(ctx context.Context) error {
	k := &f.keys
	f.exists.Store(false)
	if err := f.rdb.SRem(ctx, k.feeds, f.name).Err(); err != nil {
		return f.failed("delete", err)
	}
	// One by one: a transaction over all would hold Redis for as long as a long queue takes. The configuration goes
	// last, so that what is left after an error is still a feed.
	for _, key := range []string{k.ids, k.items, k.published, k.claimed, k.cancelled, k.stalled, k.publishes, k.finishes, k.active, k.reasons, k.config} {
		if err := f.rdb.Unlink(ctx, key).Err(); err != nil {
			return f.failed("delete", err)
		}
	}
	if err := f.rdb.Publish(ctx, "delfeed", f.name+"\x00"+f.instance).Err(); err != nil {
		return f.failed("delete", err)
	}
	return nil
}
