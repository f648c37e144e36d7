package thoonk

import (
	"context"
	"iter"
	"slices"
)

// queueWalk reads the queue from its head, at the right, to its end, at the left. It counts places
// from the left, which puts at the head and claims change nothing about. Puts at the end do: the walk
// finds its place again by the ids of the page before.
type queueWalk struct {
	f      *Feed
	budget int            // how many places to read still
	left   int            // place of the last id that was read, when it was read
	last   string         // the last id that was read
	page   map[string]int // ids of the page before, and how early each came
}

func (f *Feed) walkQueue(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		w := queueWalk{f: f}
		ids, length, err := w.head(ctx)
		w.budget = length
		for err == nil && len(ids) > 0 && w.budget > 0 {
			if fresh := w.take(ids); len(fresh) > 0 && !yield(fresh, nil) {
				return
			}
			if w.budget > 0 {
				ids, err = w.next(ctx)
			}
		}
		if err != nil {
			yield(nil, f.failed("list queued jobs of", err))
		}
	}
}

// take notes a page, whose ids are in the order of the list, and returns those that were not in the
// page before, the next one first.
func (w *queueWalk) take(ids []string) (fresh []string) {
	if spare := len(ids) - w.budget; spare > 0 {
		ids, w.left = ids[spare:], w.left+spare
	}
	w.budget -= len(ids)
	page := make(map[string]int, len(ids))
	for i, id := range slices.Backward(ids) {
		_, old := w.page[id]
		_, copied := page[id]
		if !old && !copied {
			fresh = append(fresh, id)
		}
		page[id] = len(ids) - 1 - i
	}
	w.page, w.last = page, ids[0]
	return fresh
}

// head returns the first page, and how long the queue is.
func (w *queueWalk) head(ctx context.Context) (ids []string, length int, err error) {
	tx := w.f.rdb.TxPipeline()
	n := tx.LLen(ctx, w.f.keys.ids)
	page := tx.LRange(ctx, w.f.keys.ids, -chunk, -1)
	if err := execute(ctx, tx); err != nil {
		return nil, 0, err
	}
	ids, length = page.Val(), int(n.Val())
	w.left = length - len(ids)
	return ids, length, nil
}

// next returns the page behind the last id that was read. It is empty at the end of the queue.
//
// As a rule that id is where it was, or a little to the right of it. It is sought up to the head,
// and when it is gone, the nearest one to it in its page. When all of these are gone, workers have
// taken what the walk has passed, and it goes on at the head.
func (w *queueWalk) next(ctx context.Context) ([]string, error) {
	anchor, nearest, nearestAt := w.last, "", 0
	for at := w.left; ; {
		first := max(0, at-chunk)
		size := at + overlap - first
		ids, err := w.f.rdb.LRange(ctx, w.f.keys.ids, int64(first), int64(first+size-1)).Result()
		if err != nil {
			return nil, err
		}
		found := -1
		// What is farther to the left than this came back to the end of the queue.
		for i := max(0, w.left-overlap-first); i < len(ids); i++ {
			place, known := w.page[ids[i]]
			if known && (nearest == "" || place > w.page[nearest]) {
				nearest, nearestAt = ids[i], first+i
			}
			if ids[i] == anchor {
				found = i
			}
		}
		switch {
		case found >= overlap || found >= 0 && first == 0:
			from := max(0, found-chunk)
			w.left = first + from
			return ids[from:found], nil
		case found >= 0:
			at = first + found
		case len(ids) == size:
			at += chunk
		case nearest != "":
			anchor, at, nearest = nearest, nearestAt, ""
		default:
			ids, _, err := w.head(ctx)
			return ids, err
		}
	}
}
