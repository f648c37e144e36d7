package thoonk

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"pushglue/glue"
)

// longestReason is how much of an error's text is kept with a stalled job, in bytes.
const longestReason = 1000

// storedReason is a reason as the feed keeps it; the settle script puts the time in front.
type storedReason struct {
	At int64 `json:"at"` // ms
	glue.Reason
}

// encodeReason returns a reason for the settle script.
func encodeReason(r *glue.Reason) string {
	if r == nil {
		return ""
	}
	short := *r
	short.Error = strings.ToValidUTF8(short.Error[:min(len(short.Error), longestReason)], "")
	text, _ := json.Marshal(short) // of texts and a number it cannot fail
	return string(text)
}

// decodeReason reads what the feed keeps. What it cannot read is no reason: it hides no job.
func decodeReason(text string) *glue.Reason {
	var stored storedReason
	if json.Unmarshal([]byte(text), &stored) != nil {
		return nil
	}
	stored.Time = time.UnixMilli(stored.At)
	return &stored.Reason
}

// sweep takes some reasons away whose jobs are not stalled any more. It goes on where it was.
func (k *keeper) sweep(ctx context.Context) error {
	if k.sweepAt == "" {
		k.sweepAt = "0"
	}
	next, err := sweepScript.text(ctx, k.rdb, append(sweepScript.call(1, k.keys.reasons, k.keys.stalled), k.sweepAt))
	if err != nil {
		return k.failed("sweep reasons of", err)
	}
	k.sweepAt = next
	return nil
}
