// Package faults holds no code but a test suite, which does to pushglue's parts what happens to
// them in production, while they work, and then asks whether anything was lost. docs/guarantees.md
// tells what is promised; each line of its table names a scenario of this package.
//
//	producer ──► Redis ──► pushglue run ──► nginx, nginx ──► readers
//	   │                                                        │
//	   └──────────── what was put, what was received ───────────┘
//
// All of them are real processes, and the producer and the readers speak to them as anyone does: the
// producer with raw Thoonk commands, the readers with EventSource, of each channel on each push
// host. The daemon is a black box.
//
// A scenario says which parts there are, what goes wrong, and by how much the order of messages may
// suffer from it. What goes wrong, and when, is drawn from a seed. In the end the same questions
// are asked of every round (invariants_test.go):
//
//   - Is every job finished, stalled or on the feed, and do Redis's counters say the same?
//   - Did every reader get every message of its channels?
//   - Did they come in order, apart from what the scenario documents?
//   - Is each duplicate the same as its original, id and bytes?
//   - Do the daemons' ledgers balance, and agree with Redis, the hosts and the readers?
//   - Do their metrics say the same (sums_test.go)?
//
// "make test" runs a short form, "make faults" the long one. "make faults SEED=… RUN=…" repeats what
// a failure printed.
package faults
