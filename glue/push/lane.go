package push

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// pauseOf returns the pause after a failed attempt, which doubles with each.
func pauseOf(attempt int) time.Duration {
	return connectPause * time.Millisecond << (min(attempt, 8) - 1)
}

// maxLoad bounds what a lane takes at once.
const maxLoad = 1024

// fewDebts is what it sends again at once when there is something else, which is its turn then, and the host goes on refusing: each
// refusal costs a connection. While it refuses none it gets twice as many each time.
const fewDebts = 8

// load is what a lane takes to its host at once.
type load struct {
	places []place
	debts  []debt          // the same places, if the host gets them again, beside the order
	trial  int             // see delivery
	epoch  int             // of the host
	ctx    context.Context // ends when it is interrupted
	times  []times         // of the places; nil if nobody wants to know them
}

// timesOf returns when a place was sent and answered.
func (l *load) timesOf(place int) times {
	if l.times == nil {
		return times{}
	}
	return l.times[place]
}

// debt is a message that a host refused for now, and gets again as long as the backlog has it, because nobody waits
// who would retry it.
type debt struct {
	place
	refusals int
	due      time.Time
}

// run is the host's lane: it takes what the backlog has to the host, in order, until the host is removed. What is on its way
// then comes to its end, unless stop is done.
func (h *host) run(stop context.Context) {
	_ = h.look(h.staying) // what it has before the first message; whether it answers, that shows
	for {
		l, ok := h.take(stop)
		if !ok {
			return
		}
		answers, f := h.carry(&l)
		h.commit(&l, answers, f)
	}
}

// take returns what is next, as soon as there is something that the host can take; false when the host is removed.
func (h *host) take(stop context.Context) (load, bool) {
	for h.staying.Err() == nil {
		l, wait := h.tryTake(stop)
		if len(l.places) > 0 {
			return l, true
		}
		select {
		case <-h.wake:
		case <-wait:
		case <-h.staying.Done():
		}
	}
	return load{}, false
}

// tryTake returns what is next, or nothing and when it should be called again, beside when the lane is woken up.
func (h *host) tryTake(stop context.Context) (load, <-chan time.Time) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	h.backlog.trim()
	l := load{epoch: h.epoch}
	switch {
	case h.state == silent, h.role == Out, h.gone:
		return l, nil
	case h.state == refusing:
		if wait := time.Until(h.trial); wait > 0 {
			return l, time.After(wait)
		}
		l.trial = h.trials + 1
	}
	l.places = h.backlog.due(h, maxLoad)
	n := len(l.places)
	if n == 0 {
		h.catchUp()
	}
	h.noteSlow(l.places)
	switch { // what a host refused before must not keep it from what comes in order
	case n == 0:
		l.debts = h.takeDebts(maxLoad)
	case l.trial == 0 && !h.paid:
		l.debts = h.takeDebts(h.most)
	}
	if h.paid = len(l.debts) > 0; h.paid {
		l.places = placesOf(l.debts)
	}
	switch {
	case len(l.places) == 0:
		return l, h.nextDebt()
	case !h.paid:
		last := l.places[n-1]
		h.flight = cursor{last.number, last.index + 1}
	}
	l.ctx, h.interrupt = context.WithCancel(stop)
	h.busy = true
	return l, nil
}

// noteSlow says that the host is behind if the first of what is due has been published for longer than the deadline.
func (h *host) noteSlow(due []place) {
	if len(due) > 0 && !due[0].open && time.Since(due[0].at) > h.deadline {
		h.fallBehind()
	}
}

// takeDebts returns what is to be sent again by now, up to most.
func (h *host) takeDebts(most int) []debt {
	var taken, rest []debt
	for _, d := range h.owed {
		switch {
		case !h.lacks(d.batch, d.index): // it is void, or the host has it by now
		case len(taken) < most && time.Until(d.due) <= 0:
			taken = append(taken, d)
		default:
			rest = append(rest, d)
		}
	}
	h.owed = rest
	return taken
}

func placesOf(debts []debt) []place {
	places := make([]place, len(debts))
	for i, d := range debts {
		places[i] = d.place
	}
	return places
}

// nextDebt tells when something is to be sent again; nil if nothing is.
func (h *host) nextDebt() <-chan time.Time {
	if len(h.owed) == 0 {
		return nil
	}
	next := slices.MinFunc(h.owed, func(a, b debt) int { return a.due.Compare(b.due) })
	return time.After(time.Until(next.due))
}

// carry delivers a load over the host's connections, and returns the answers: errUnsent where there is none.
func (h *host) carry(l *load) ([]error, fate) {
	requests, answers, todo := make([]*request, len(l.places)), make([]error, len(l.places)), make([]int, len(l.places))
	for i, p := range l.places {
		requests[i], answers[i], todo[i] = p.request(), errUnsent, i
		if requests[i].timed && l.times == nil {
			l.times = make([]times, len(l.places))
		}
	}
	parts := [][]int{todo} // of a trial, which are messages, whoever listens, and which one after the other decide
	if l.trial == 0 {
		parts = h.split(requests, h.skip(l.ctx, requests, answers, todo))
	}
	deliveries := make([]delivery, len(parts))
	start := time.Now()
	together(len(parts), func(o int) {
		d := &deliveries[o]
		*d = delivery{host: h, connection: h.connections[o], requests: requests, answers: answers, times: l.times, todo: parts[o], epoch: l.epoch, trial: l.trial, again: len(l.debts) > 0}
		d.deliver(l.ctx)
	})
	h.noteLoad(time.Since(start))
	var f fate
	for o := range deliveries {
		if deliveries[o].fate.reason != nil {
			f = deliveries[o].fate
		}
	}
	return answers, f
}

// noteLoad books how long a load took.
func (h *host) noteLoad(took time.Duration) {
	sums := glue.HostSums{Name: h.name}
	sums.Took.Note(took)
	h.backlog.ledger.AddHost(sums)
}

// skip returns what of todo somebody listens to. The rest counts as accepted.
func (h *host) skip(ctx context.Context, requests []*request, answers []error, todo []int) []int {
	if h.audience == nil {
		return todo
	}
	heard := h.audience.skip(ctx, requests, todo)
	if len(heard) == len(todo) {
		return todo
	}
	for _, i := range todo {
		answers[i] = nil
	}
	for _, i := range heard {
		answers[i] = errUnsent
	}
	h.backlog.ledger.AddHost(glue.HostSums{Name: h.name, Skipped: int64(len(todo) - len(heard))})
	return heard
}

// split returns what is to be done on each connection.
func (h *host) split(requests []*request, todo []int) [][]int {
	if len(h.connections) == 1 {
		return [][]int{todo}
	}
	parts := make([][]int, len(h.connections))
	for _, i := range todo {
		o := requests[i].connection(len(h.connections))
		parts[o] = append(parts[o], i)
	}
	return parts
}

// commit enters the answers, draws the conclusion from the host's fate, and moves on.
func (h *host) commit(l *load, answers []error, f fate) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	defer h.backlog.moved.Broadcast()
	if len(l.debts) > 0 {
		h.commitDebts(l, answers)
	} else {
		h.commitPlaces(l, answers)
	}
	h.flight, h.busy = cursor{}, false
	h.round++
	h.interrupt()
	if f.reason == nil {
		h.catchUp()
		return
	}
	h.goDown(f)
	if l.trial > 0 {
		h.trials = l.trial
	}
}

func (h *host) commitDebts(l *load, answers []error) {
	h.most = min(2*h.most, maxLoad)
	for j, d := range l.debts {
		switch answer := answers[j]; {
		case errors.Is(answer, errUnsent):
			h.owe(d)
		default:
			d.answered(h.number, d.index, answer, l.timesOf(j))
			h.refused(d, answer)
			if answer != nil {
				h.most = fewDebts
			}
		}
	}
}

func (h *host) commitPlaces(l *load, answers []error) {
	last := l.places[len(l.places)-1]
	next := cursor{last.number, last.index + 1}
	for j, p := range l.places {
		if errors.Is(answers[j], errUnsent) {
			next = p.cursor()
			break
		}
	}
	h.missUnsent(l.places, answers)
	if h.epoch == l.epoch {
		h.at = next
		if first := (cursor{batch: h.backlog.first()}); h.at.before(first) { // kept no longer
			h.at = first
		}
	}
	for j, p := range l.places {
		if errors.Is(answers[j], errUnsent) {
			continue
		}
		p.answered(h.number, p.index, answers[j], l.timesOf(j))
		if !p.open { // else Publish decides what becomes of it
			h.refused(debt{place: p}, answers[j])
		}
	}
	h.owed = slices.DeleteFunc(h.owed, func(d debt) bool {
		// What comes after next comes in order. The host may have got what was owed to it while it was on its way.
		return !d.cursor().before(h.at) || h.epoch == l.epoch && isAccepted(l.places, answers, d.place)
	})
}

// isAccepted reports whether the answer to p was that the host has it.
func isAccepted(places []place, answers []error, p place) bool {
	i, sent := slices.BinarySearchFunc(places, p.cursor(), func(p place, c cursor) int {
		if p.cursor().before(c) {
			return -1
		}
		if c.before(p.cursor()) {
			return 1
		}
		return 0
	})
	return sent && answers[i] == nil
}

// missUnsent counts what was not sent of batches that were dropped while it was on its way.
func (h *host) missUnsent(places []place, answers []error) {
	var missed int64
	for j, p := range places {
		if p.number < h.backlog.first() && errors.Is(answers[j], errUnsent) && h.lacks(p.batch, p.index) {
			missed++
		}
	}
	h.bookMissed(missed, errOld)
}

// refused decides what becomes of a message whose answer nobody waits for: what may pass the host gets again, and
// the rest it misses.
func (h *host) refused(d debt, answer error) {
	switch {
	case answer == nil, d.request().err != nil:
	case isPassing(answer):
		d.refusals++
		d.due = time.Now().Add(pauseOf(d.refusals))
		h.owe(d)
	default:
		h.bookMissed(1, answer)
	}
}

// owe has the host get a message again.
func (h *host) owe(d debt) {
	switch c := d.cursor(); {
	case d.request().err != nil:
		return
	case !c.before(h.at) && !c.before(h.flight): // it comes in order
		return
	case d.number < h.backlog.first():
		h.bookMissed(1, errOld)
		return
	case slices.ContainsFunc(h.owed, func(o debt) bool { return o.place == d.place }):
		return
	}
	h.owed = append(h.owed, d)
	h.wakeUp()
}

// isPassing reports whether a host may answer otherwise the next time.
func isPassing(answer error) bool {
	return answer != nil && !errors.Is(answer, errUnsent) && !glue.IsPermanent(answer)
}

// Why a host does not get a message.
var (
	errOld     = errors.New("older than what is kept")
	errRemoved = errors.New("the host was removed")
	errClosed  = errors.New("the daemon stops")
)

// missedTime is in which time the log tells once that a host misses messages, which goes on as long as it is away.
const missedTime = 10 * time.Second

// bookMissed counts what the host lacks and will not get any more, and why, and logs it now and then.
func (h *host) bookMissed(n int64, reason error) {
	if n == 0 {
		return
	}
	h.backlog.ledger.AddHost(glue.HostSums{Name: h.name, Missed: n})
	h.missed += n
	h.unlogged += n
	if time.Since(h.logged) >= missedTime {
		h.warn(zerolog.WarnLevel).Int64("messages", h.unlogged).AnErr("error", reason).Msg("push host misses messages for good")
		h.unlogged, h.logged = 0, time.Now()
	}
}
