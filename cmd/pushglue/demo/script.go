package demo

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"time"

	"pushglue"
	"pushglue/cmd/pushglue/demo/forum"
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
// and posts of their own, because they would all be edits of the first round's. Each change of a post has a revision.
func script(now func() time.Time) iter.Seq[comment] {
	return func(yield func(comment) bool) {
		revisions := map[string]int64{} // by post
		for round := 1; ; round++ {
			for line := range firstRound() {
				if !yield(adapt(line, round, now(), revisions)) {
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
	postPath    = tree.Path{"post"}
	createdPath = tree.Path{"createdAt"}
)

// adapt makes a comment of the script one of this round and moment.
func adapt(line []byte, round int, now time.Time, revisions map[string]int64) comment {
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
	if post := envelope.Get(postPath); post != nil {
		name, _ := post.Text()
		revisions[name]++
		envelope.Set("revision", number(revisions[name]))
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
	envelope.Set(name, number(old+n))
}

func number(n int64) tree.Node {
	node, err := tree.Parse(strconv.AppendInt(nil, n, 10))
	if err != nil {
		panic(err) // digits are JSON
	}
	return *node
}

// The forum and thread that belong to the demo's visitors, all together.
const (
	ownForum  = "demo"
	ownThread = "1"
)

// threads returns the visitors' thread, then those of the script in the order of appearance.
func threads() []forum.Thread {
	list := []forum.Thread{{Forum: ownForum, Thread: ownThread}}
	seen := map[string]bool{ownThread: true}
	for c := range firstRound() {
		envelope, err := tree.Parse(c)
		if err != nil {
			panic(err) // the comments are embedded, and tested
		}
		place, _ := envelope.Get(tree.Path{"forum"}).Text()
		name, _ := envelope.Get(tree.Path{"thread"}).Text()
		if !seen[name] {
			seen[name] = true
			list = append(list, forum.Thread{Forum: place, Thread: name})
		}
	}
	return list
}
