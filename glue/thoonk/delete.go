package thoonk

import "context"

// Delete removes the feed with all its jobs, and tells who listens for it. Whoever has claimed a job of it
// then settles nothing.
//
// Source: contract.txt, "Delete Feed".
func (f *Feed) Delete(ctx context.Context) error {
	k := &f.keys
	// Each by itself: a transaction over all would hold Redis for as long as a long queue takes to unlink.
	for _, key := range []string{k.config, k.ids, k.items, k.published, k.claimed, k.cancelled, k.stalled, k.publishes, k.finishes} {
		if err := f.rdb.Unlink(ctx, key).Err(); err != nil {
			return f.failed("delete", err)
		}
	}
	f.exists.Store(false)
	if err := f.rdb.SRem(ctx, k.feeds, f.name).Err(); err != nil {
		return f.failed("delete", err)
	}
	if err := f.rdb.Publish(ctx, "delfeed", f.name+"\x00"+f.instance).Err(); err != nil {
		return f.failed("delete", err)
	}
	return nil
}
