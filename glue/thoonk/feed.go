package thoonk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
)

// chunk is how many ids one script call takes. Lua's unpack ends at about 8,000 values, and a
// script holds up every other client of the server while it runs.
const chunk = 1000

// Feed is a feed in Redis: producer's side, worker's side and inspection.
// Its methods are safe for concurrent use.
type Feed struct {
	rdb     redis.UniversalClient
	name    string
	keys    keys
	notices notices

	instance string      // names this producer in notices about the feed
	exists   atomic.Bool // the feed is known to be in Redis

	lease, othersLease time.Duration
	standby            *standby // nil without the option

	mu     sync.Mutex
	leases []*lease // claims of this Feed that are not settled

	// moving is held by who changes the times of claims, and shared by who relies on them.
	moving sync.RWMutex
}

var _ glue.Feed = (*Feed)(nil)

// notices are the channels on which thoonk.py tells of puts and claims. Empty means silence.
type notices struct{ put, claim string }

// Option changes a Feed.
type Option func(*Feed) error

// WithNotices makes Put publish id NUL payload on feed.publishes:F and Claim publish the id on
// feed.claimed:F for every job, as thoonk.py does. It is off by default, for nobody listens as a
// rule and each notice costs Redis about as much as the job. Only thoonk.py has these channels.
func WithNotices() Option {
	return func(f *Feed) error {
		if f.keys.feeds != ThoonkPy.keys("").feeds {
			return errors.New("notices exist in the dialect thoonk.py only")
		}
		f.notices = notices{put: f.keys.publishes, claim: f.keys.claimed}
		return nil
	}
}

// NewFeed returns the feed with this name. It does no I/O: whether the feed exists shows when it
// is used, and the first Put makes it exist.
//
// The name is not empty, valid UTF-8 and free of control characters. On a Redis Cluster it must
// hold a hash tag, such as {comments}, because the keys of a feed change together.
func NewFeed(rdb redis.UniversalClient, name string, d Dialect, options ...Option) (*Feed, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if _, ok := rdb.(*redis.ClusterClient); ok && !hasHashTag(name) {
		return nil, fmt.Errorf("feed %q on a Redis Cluster needs a hash tag, such as %q, to keep its keys in one slot", name, "{"+name+"}")
	}
	f := &Feed{
		rdb:      rdb,
		name:     name,
		keys:     d.keys(name),
		instance: newID(),
		lease:    30 * time.Second,
	}
	for _, option := range options {
		if err := option(f); err != nil {
			return nil, fmt.Errorf("feed %q: %w", name, err)
		}
	}
	return f, nil
}

// Name implements glue.Feed.
func (f *Feed) Name() string { return f.name }

func checkName(name string) error {
	if name == "" {
		return errors.New("a feed's name is empty")
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("feed %q: a name has no control characters and is valid UTF-8", name)
	}
	return nil
}

// hasHashTag tells whether Redis Cluster places keys that end with name by a part of name alone:
// what is between the first { and the first } after it, unless that is empty.
func hasHashTag(name string) bool {
	_, rest, _ := strings.Cut(name, "{")
	return strings.Index(rest, "}") > 0
}

// newID returns a random UUID, version 4, as 32 hex digits: Python's uuid.uuid4().hex.
func newID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x", u[:])
}

// failed wraps what Redis said. Its text names the feed and what was tried, and no job.
func (f *Feed) failed(what string, err error) error {
	return fmt.Errorf("%s feed %q: %w", what, f.name, err)
}
