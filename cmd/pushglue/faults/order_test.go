package faults

import (
	"fmt"
	"strings"
)

// checkOrder requires that the messages of a reader came in order, but for those that were lost once.
func (r *round) checkOrder(where string, rec *receipt) {
	r.Helper()
	if r.anyOrder {
		return
	}
	ids := r.producer.ids(rec.channel)
	var wrong []string
	last := 0
	previous := map[int]int{} // by loss: the place of the one of it that came late before
	for _, n := range rec.first {
		if n > last {
			last = n
			continue
		}
		switch of, place, times := r.lossOf(ids[n]); {
		case times == 0:
			wrong = append(wrong, fmt.Sprintf("%d after %d", n, last))
		case times > 1: // its place is that of the last time, if it did not come before
		case place < previous[of]:
			wrong = append(wrong, fmt.Sprintf("%d, lost as number %d, after number %d", n, place, previous[of]))
		default:
			previous[of] = place
		}
	}
	if len(wrong) > 0 {
		r.Errorf("%s: %d messages are out of order: %s", where, len(wrong), strings.Join(wrong[:min(len(wrong), 5)], ", "))
	}
}

// lossOf returns a loss of a message, its place in that, and how often it was lost.
func (r *round) lossOf(id string) (of, place, times int) {
	for i, lost := range r.losses {
		if at, is := lost.place[id]; is {
			of, place = i, at
			times++
		}
	}
	return of, place, times
}
