package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// Discovery finds out which push hosts there are: those that a list names, or a file. Names with dns+http:// or dns+https:// stand
// for one host at each of their addresses.
type Discovery struct {
	Hosts  []string                                                           // http://, https://, dns+http:// or dns+https://
	File   string                                                             // in the place of Hosts: one of them on a line
	Every  time.Duration                                                      // how often names are looked up; default 10s
	Lookup func(ctx context.Context, name string) (a []netip.Addr, err error) // nil for the system's resolver
	Log    zerolog.Logger

	listed  []entry                 // what is in force
	text    []byte                  // the file's, of which listed is made
	seen    []byte                  // the file's, when it was looked at last
	found   map[string][]netip.Addr // by name: the addresses that it had last
	set     []Target                // what was handed on last
	said    map[string]string       // trouble that was logged, by its subject
	resolve time.Time               // when names are looked up next
}

// entry is one host, or one name with many.
type entry struct {
	base *url.URL
	name string // looked up for addresses; "" for one host
}

const (
	dnsPrefix = "dns+"

	// fileEvery is how often the file is looked at.
	fileEvery = time.Second

	// lookupTime bounds one question for a name.
	lookupTime = 5 * time.Second

	// maxHostsFile bounds the file, in bytes.
	maxHostsFile = 1 << 20
)

// Check returns what is wrong with the list, or with the file. It asks nobody for names.
func (d *Discovery) Check() error {
	if d.File == "" {
		_, err := parseEntries(d.Hosts)
		return err
	}
	_, _, err := d.readFile()
	return err
}

// Fixed returns how many hosts there are, if no name has to be looked up and no file can change.
func (d *Discovery) Fixed() (hosts int, is bool) {
	isName := func(host string) bool { return strings.HasPrefix(strings.TrimSpace(host), dnsPrefix) }
	return len(d.Hosts), d.File == "" && !slices.ContainsFunc(d.Hosts, isName)
}

// Find returns the hosts that there are now. A name without an address is an error.
func (d *Discovery) Find(ctx context.Context) ([]Target, error) {
	if err := d.read(); err != nil {
		return nil, err
	}
	errs := d.lookUp(ctx)
	return d.targets(), errors.Join(errs...)
}

// Begin calls set with the hosts that there are now, if there are any. A name without an address is logged, and only a wrong
// list, or file, is an error.
func (d *Discovery) Begin(ctx context.Context, set func([]Target) error) error {
	if err := d.read(); err != nil {
		return err
	}
	_ = d.lookUp(ctx)
	d.resolve = time.Now().Add(d.every())
	d.handOn(set)
	return nil
}

// Follow calls set with the hosts whenever they are others than at Begin, or before, until ctx is done. What is wrong is logged once; then what was
// last good stays.
func (d *Discovery) Follow(ctx context.Context, set func([]Target) error) {
	for glue.Sleep(ctx, fileEvery) {
		d.look(ctx)
		d.handOn(set)
	}
}

// look looks at the file, and looks names up if it is time.
func (d *Discovery) look(ctx context.Context) {
	isOther := d.File != "" && d.readAgain()
	if !isOther && time.Now().Before(d.resolve) {
		return
	}
	d.resolve = time.Now().Add(d.every())
	_ = d.lookUp(ctx) // which logs what is wrong
}

// handOn calls set if the hosts are others than those that it took last.
func (d *Discovery) handOn(set func([]Target) error) {
	targets := d.targets()
	if slices.Equal(targets, d.set) {
		d.say("hosts", nil, "", "")
		return
	}
	if len(targets) == 0 {
		return // there is nothing yet, and lookUp has said why
	}
	err := set(targets)
	d.say("hosts", err, textOf(err), "push hosts cannot be changed; those from before stay")
	if err == nil {
		d.set = targets
	}
}

func (d *Discovery) every() time.Duration {
	if d.Every == 0 {
		return 10 * time.Second
	}
	return d.Every
}

// read takes the list, or the file.
func (d *Discovery) read() (err error) {
	if d.File == "" {
		d.listed, err = parseEntries(d.Hosts)
		return err
	}
	d.listed, d.text, err = d.readFile()
	d.seen = d.text
	return err
}

// readAgain takes the file if it is another one, and the same twice: one that is being written may name half a host. It reports whether
// it is.
func (d *Discovery) readAgain() bool {
	listed, text, err := d.readFile()
	isWritten := text != nil && bytes.Equal(text, d.seen)
	d.seen = text
	switch {
	case text != nil && !isWritten:
		return false
	case err != nil:
		d.say("file", err, textOf(err), "the file with the push hosts is not good; those from before stay")
		return false
	}
	d.say("file", nil, "", "")
	if bytes.Equal(text, d.text) {
		return false
	}
	d.listed, d.text = listed, text
	return true
}

// readFile returns what the file says, and its text, if it can be read.
func (d *Discovery) readFile() ([]entry, []byte, error) {
	text, err := os.ReadFile(d.File)
	switch {
	case err != nil:
		return nil, nil, err
	case len(text) > maxHostsFile:
		return nil, text, fmt.Errorf("%s: %d bytes are more than %d", d.File, len(text), maxHostsFile)
	}
	text = append([]byte{}, text...) // not nil
	listed, err := parseFile(string(text))
	if err != nil {
		return nil, text, fmt.Errorf("%s: %w", d.File, err)
	}
	return listed, text, nil
}

// parseFile parses the text of a file: one host on a line, and comments behind #.
func parseFile(text string) ([]entry, error) {
	var listed []entry
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if end := strings.IndexFunc(line, unicode.IsSpace); end > 0 && strings.HasPrefix(strings.TrimSpace(line[end:]), "#") {
			line = line[:end]
		}
		e, err := parseEntry(line)
		if err == nil {
			err = e.checkAmong(listed)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		listed = append(listed, e)
	}
	if listed == nil {
		return nil, errors.New("it names no push host; want one base URL on a line, such as http://10.0.0.1:9080")
	}
	return listed, nil
}

func parseEntries(hosts []string) ([]entry, error) {
	var listed []entry
	for i, host := range hosts {
		e, err := parseEntry(host)
		if err == nil {
			err = e.checkAmong(listed)
		}
		if err != nil {
			return nil, fmt.Errorf("push host %d of %d: %w", i+1, len(hosts), err)
		}
		listed = append(listed, e)
	}
	return listed, nil
}

func parseEntry(text string) (entry, error) {
	rest, isName := strings.CutPrefix(strings.TrimSpace(text), dnsPrefix)
	base, err := parseBase(rest)
	if err != nil || !isName {
		return entry{base: base}, err
	}
	if _, err := netip.ParseAddr(base.Hostname()); err == nil {
		return entry{}, fmt.Errorf("%s is an address, which needs no %s", base.Host, dnsPrefix)
	}
	return entry{base, base.Hostname()}, nil
}

func (e entry) checkAmong(others []entry) error {
	is := func(other entry) bool {
		return other.name == e.name && site{base: other.base}.name() == site{base: e.base}.name()
	}
	if slices.ContainsFunc(others, is) {
		return fmt.Errorf("%s is named twice", site{base: e.base}.name())
	}
	return nil
}

// lookUp looks all names up. One without an answer keeps the addresses that it had.
func (d *Discovery) lookUp(ctx context.Context) []error {
	if d.found == nil {
		d.found = map[string][]netip.Addr{}
	}
	var errs []error
	asked := map[string]bool{"": true}
	for _, e := range d.listed {
		if asked[e.name] {
			continue
		}
		asked[e.name] = true
		addresses, err := d.ask(ctx, e.name)
		if err == nil {
			d.found[e.name] = addresses
		} else {
			errs = append(errs, err)
		}
		if ctx.Err() == nil {
			d.sayOfName(e.name, err)
		}
	}
	maps.DeleteFunc(d.found, func(name string, _ []netip.Addr) bool { return !asked[name] }) // they may be somebody else's by then
	return errs
}

func (d *Discovery) sayOfName(name string, err error) {
	message := "a name of push hosts has no address; those from before stay"
	if len(d.found[name]) == 0 {
		message = "a name of push hosts has no address; its hosts get nothing until it has one"
	}
	d.say(name, err, message, message) // the resolver's words differ each time
}

// ask returns the addresses of a name, in order.
func (d *Discovery) ask(ctx context.Context, name string) ([]netip.Addr, error) {
	lookup := d.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := lookup(ctx, name)
	if err == nil && len(found) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, fmt.Errorf("dns name %s: %w", name, err)
	}
	addresses := make([]netip.Addr, len(found))
	for i, a := range found {
		addresses[i] = a.Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses), nil
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// say logs what is wrong with a subject, once as long as what is the same; and that it is good again.
func (d *Discovery) say(subject string, err error, what, message string) {
	if d.said == nil {
		d.said = map[string]string{}
	}
	switch before, known := d.said[subject]; {
	case err == nil && known:
		delete(d.said, subject)
		d.Log.Info().Str("subject", subject).Msg("push hosts: this is good again")
	case err != nil && before != what:
		d.said[subject] = what
		d.Log.Error().Err(err).Msg(message)
	}
}

// targets returns what is known now. An address that has more than one name is one host.
func (d *Discovery) targets() []Target {
	var targets []Target
	names := map[string]bool{}
	add := func(base *url.URL, server string) {
		s := site{base, server}
		if !names[s.name()] {
			names[s.name()] = true
			targets = append(targets, Target{base.String(), server})
		}
	}
	for _, e := range d.listed {
		if e.name == "" {
			add(e.base, "")
		}
		for _, address := range d.found[e.name] {
			base := *e.base
			base.Host = hostPort(address, e.base.Port())
			server := ""
			if base.Scheme == "https" {
				server = e.name
			}
			add(&base, server)
		}
	}
	return targets
}

func hostPort(a netip.Addr, port string) string {
	if port != "" {
		return net.JoinHostPort(a.String(), port)
	}
	if a.Is4() {
		return a.String()
	}
	return "[" + a.String() + "]"
}
