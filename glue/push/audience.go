package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// audience tells which messages of a batch a host need not get, because nobody listens there to any of
// their channels. It asks the host for each batch anew and remembers no answer: the batch was due
// before the question, so a reader who is not in the answer came after all of it, and where nothing
// is stored such a reader gets nothing of it either way.
//
// Whatever is unexpected ends in publishing everything.
type audience struct {
	*roundTripper // to the host
	module        Module
	log           zerolog.Logger
	again         time.Time // when the host is asked next, after an answer that let nothing be skipped
	said          string    // what was logged last
}

const (
	// probeChannel is ours: what is published to it shows whether a host stores what it gets. It ends each
	// list of channels, so that an answer which holds it shows that the host has read all of the list.
	probeChannel = "pushglue:probe"

	// maxList bounds the channels in one request, in bytes, so that its head fits
	// into client_header_buffer_size of the shipped internal-headers.conf.
	maxList = 30_000

	// audiencePause is how long a host is left alone that let nothing be skipped: neither a host that stores
	// nor one that does not answer should cost each batch a question.
	audiencePause = 10 * time.Second
)

// errStores is why nothing can be skipped on a host that stores messages.
var errStores = errors.New("it stores messages for readers that come back, who would miss what was skipped; " +
	"if they may, set push_stream_store_messages off there")

// CheckSkipEmpty returns an error if New would refuse Config.SkipEmpty for hosts that run m.
func CheckSkipEmpty(m Module) error {
	if m == Nchan {
		return fmt.Errorf("%s does not tell who listens to a channel, so only %s can be spared messages", Nchan, PushStream)
	}
	return nil
}

// newAudience asks the host at base, over a connection of its own.
func newAudience(base *url.URL, c Config, log zerolog.Logger) *audience {
	transport := c.Transport
	if transport == nil {
		transport = authorize(newTransport(c.TLS, c.Timeout), c.Authorization)
	}
	return &audience{roundTripper: &roundTripper{transport, base, c.Timeout}, module: c.Module, log: log}
}

// check returns why nothing is skipped on the host; nil if something is.
func (a *audience) check(ctx context.Context) error {
	heard, none := channelsOf(nil, nil)
	return a.ask(ctx, heard, none)
}

// skip returns those of todo, which are places in requests, that somebody listens to: all, when that is
// not known.
func (a *audience) skip(ctx context.Context, requests []*request, todo []int) []int {
	if time.Now().Before(a.again) {
		return todo
	}
	heard, names := channelsOf(requests, todo)
	if len(names) == 0 {
		return todo
	}
	if err := a.ask(ctx, heard, names); err != nil {
		if ctx.Err() == nil {
			a.again = time.Now().Add(audiencePause)
			a.say(zerolog.WarnLevel, "nothing is skipped on this push host", err)
		}
		return todo
	}
	a.say(zerolog.InfoLevel, "messages that nobody listens to are skipped on this push host", nil)
	var rest []int
	for _, i := range todo {
		if anyOf(heard, requests[i].channels) {
			rest = append(rest, i)
		}
	}
	return rest
}

// say logs what is new.
func (a *audience) say(level zerolog.Level, message string, reason error) {
	if errors.Is(reason, errStores) {
		message = "push host stores messages: nothing is skipped on it"
	}
	if a.said != message {
		a.said = message
		a.log.WithLevel(level).AnErr("error", reason).Msg(message)
	}
}

// channelsOf returns the channels of the messages at todo, and the names of those to ask about. heard holds
// what is known without asking: somebody may listen where the answer could not be trusted.
func channelsOf(requests []*request, todo []int) (heard map[string]bool, names []string) {
	heard = map[string]bool{probeChannel: true}
	for _, i := range todo {
		for _, name := range requests[i].channels {
			if _, known := heard[name]; known {
				continue
			}
			ask := isAskable(name)
			if heard[name] = !ask; ask {
				names = append(names, name)
			}
		}
	}
	return heard, names
}

func anyOf(heard map[string]bool, channels []string) bool {
	for _, name := range channels {
		if heard[name] {
			return true
		}
	}
	return false
}

// ask marks in heard those of names that somebody listens to. An error, such as errStores, means that
// nothing may be skipped. The host's timeout bounds all of it.
func (a *audience) ask(ctx context.Context, heard map[string]bool, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err := a.probe(ctx)
	for more := true; more && err == nil; more = len(names) > 0 {
		n := fitting(names)
		err = a.tally(ctx, heard, names[:n])
		names = names[n:]
	}
	if err != nil {
		a.close() // the host may have left a part of what it refused on the connection
	}
	return err
}

// probe publishes to probeChannel, the same way as messages. Before each question, because a reload of the
// host may have made it one that stores: the messages would be stored by the time of the answer.
func (a *audience) probe(ctx context.Context) error {
	m := glue.NewMessage("", []byte("probe"))
	m.Channels = []string{probeChannel}
	answer, err := a.post(ctx, &request{head: a.module.appendHead(nil, m, len(m.Body())), body: m.Body()})
	if err == nil {
		err = answer.outcome()
	}
	if err != nil {
		return fmt.Errorf("a message to %s: %w", probeChannel, err)
	}
	return nil
}

// fitting returns how many of names one request holds.
func fitting(names []string) int {
	size := len(probeChannel)
	for n, name := range names {
		if size += 1 + encodedLen(name); size > maxList {
			return n
		}
	}
	return len(names)
}

// tally asks the host about names.
func (a *audience) tally(ctx context.Context, heard map[string]bool, names []string) error {
	u := *a.base
	u.Path += "/channels-stats"
	u.RawQuery = string(appendQuery(nil, append(names[:len(names):len(names)], probeChannel)))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "pushglue")
	req.Header.Set("Accept", "application/json")
	resp, err := a.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBody))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("its /channels-stats: %w", answer{status: resp.StatusCode}.outcome())
	}
	return readStatistics(body, heard)
}

func (a *audience) close() {
	(&http.Client{Transport: a.RoundTripper}).CloseIdleConnections()
}
