package thoonk

import "fmt"

// Dialect says whose key names a feed has. All producers and workers of a feed speak the same one.
type Dialect uint8

const (
	// ThoonkPy is the dialect of thoonk.py and of contract.txt: keys begin with "feed.".
	ThoonkPy Dialect = iota
	// ThoonkJS is the dialect of thoonk.js before its version 1.0: keys begin with "job.".
	ThoonkJS
)

// ParseDialect returns the dialect with this name: "thoonk.py" or "thoonk.js".
func ParseDialect(name string) (Dialect, error) {
	switch name {
	case "thoonk.py":
		return ThoonkPy, nil
	case "thoonk.js":
		return ThoonkJS, nil
	}
	return 0, fmt.Errorf("unknown Thoonk dialect %q: it is thoonk.py (keys such as feed.ids:name) or thoonk.js (job.ids:name)", name)
}

// String returns the dialect's name.
func (d Dialect) String() string {
	if d == ThoonkJS {
		return "thoonk.js"
	}
	return "thoonk.py"
}

// keys are the names in Redis that make up one feed.
type keys struct {
	feeds  string // set: the names of all feeds of the dialect, the one key that is not the feed's own
	config string // hash: type -> job

	ids       string // list: queued ids, next one at the right
	items     string // hash: id -> payload
	published string // zset: id -> time put, ms
	claimed   string // zset: id -> time claimed, ms
	cancelled string // hash: id -> times cancelled
	stalled   string // set: stalled ids
	publishes string // counter: jobs ever put
	finishes  string // counter: jobs ever finished

	// No Thoonk has these.
	active  string // string: who is the active daemon, with WithStandby
	reasons string // hash: id -> why the job is stalled

	results string // channel: id NUL result, when a job finishes with one
}

func (d Dialect) keys(feed string) keys {
	prefix, feeds, results := "feed.", "feeds", "job.finish:"
	if d == ThoonkJS {
		prefix, feeds, results = "job.", "jobs", "event.job.finish:"
	}
	name := func(what string) string { return prefix + what + ":" + feed }
	return keys{
		feeds:     feeds,
		config:    name("config"),
		ids:       name("ids"),
		items:     name("items"),
		published: name("published"),
		claimed:   name("claimed"),
		cancelled: name("cancelled"),
		stalled:   name("stalled"),
		publishes: name("publishes"),
		finishes:  name("finishes"),
		active:    name("pushglue.active"),
		reasons:   name("pushglue.reasons"),
		results:   results + feed,
	}
}
