package glue

// Alive returns when all parts of g have answered, which takes microseconds: the ledger and, for each feed, the
// nozzle. It never returns when one of them hangs. It tells nothing of feeds, stages and publishers: that
// these wait for somebody is no fault of the process.
func (g *Glue) Alive() {
	for _, l := range g.lines {
		l.ledger.Sums()
		l.nozzle.returned()
	}
}

// returned returns how many jobs wait to go back to the feed.
func (n *nozzle) returned() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.released)
}
