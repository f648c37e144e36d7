package demo

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"time"

	"pushglue"
	"pushglue/glue"
	"pushglue/glue/tree"
)

// comment is a job as a web application puts it, and the id of the message that it becomes.
type comment struct {
	id      string
	payload []byte
}

// postsOfRound separates the posts of one round through the script from those of the next. After so
// many rounds they come again, because the demo's push host forgets no channel.
const (
	postsOfRound = 1_000_000
	postRounds   = 10
)

// script returns the embedded comments, again and again, as if they were written now. From the
// second round on they are others: "~2" behind each id, because readers drop what they have seen,
// and posts of their own, because they would all be edits of the first round's.
func script(now func() time.Time) iter.Seq[comment] {
	return func(yield func(comment) bool) {
		for round := 1; ; round++ {
			for line := range firstRound() {
				if !yield(adapt(line, round, now())) {
					return
				}
			}
		}
	}
}

// firstRound returns the embedded comments as they are.
func firstRound() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(pushglue.Comments) {
			if !yield(bytes.TrimSpace(line)) {
				return
			}
		}
	}
}

var (
	idPath      = tree.Path{"id"}
	createdPath = tree.Path{"createdAt"}
)

// adapt makes a comment of the script one of this round and moment.
func adapt(line []byte, round int, now time.Time) comment {
	envelope, err := tree.Parse(line)
	if err != nil {
		panic(err) // the comments are embedded, and tested
	}
	id, _ := envelope.Get(idPath).Text()
	if round > 1 {
		suffix := fmt.Sprintf("~%d", round)
		id = id[:min(len(id), glue.MaxTokenLen-len(suffix))] + suffix
		envelope.Set("id", tree.NewString(id))
		for _, name := range []string{"post", "parent"} {
			shift(envelope, name, int64((round-1)%postRounds)*postsOfRound)
		}
	}
	if envelope.Get(createdPath) != nil {
		envelope.Set("createdAt", tree.NewString(now.UTC().Format(time.RFC3339Nano)))
	}
	return comment{id, envelope.Append(nil)}
}

// shift adds n to the number called name, if there is one.
func shift(envelope *tree.Node, name string, n int64) {
	value := envelope.Get(tree.Path{name})
	if value == nil || value.Kind() != tree.Number {
		return
	}
	text, _ := value.Text()
	old, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return
	}
	sum, err := tree.Parse(strconv.AppendInt(nil, old+n, 10))
	if err != nil {
		panic(err) // digits are JSON
	}
	envelope.Set(name, *sum)
}
