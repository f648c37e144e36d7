// Package glue is the engine of pushglue: it moves jobs from feeds through pipelines to publishers.
//
//	feed ── claim ──► nozzle ── batch ──► transformer ── messages ──► publisher
//	  ▲                                                                   │
//	  └────────────── finish, cancel, stall, release ◄── outcomes ────────┘
//
// A nozzle claims up to a batch of jobs from its feed in one step, in their order. The
// transformer runs each job through the stages of every pipeline of the feed: in parallel
// inside the batch, without changing its order. Pipelines that begin with the same stages share their
// work up to where they part (Branch). A stage may split a message; no part is published before all
// have passed the stages. The publisher of each pipeline gets the batch's messages
// and reports an outcome for each. The outcomes of a job fold into a verdict, and the nozzle settles
// the whole batch in one step.
//
// A pipeline may coalesce: its messages wait for a window, in which further batches become part of this one, and
// those to the same channels go out as one (Coalesce). Other pipelines publish meanwhile.
//
// While a batch is settled, the next one is published, the one after it transformed, and another
// one claimed: four goroutines for each feed (line.go) that hand batches to each other over channels
// which hold nothing, so that the slowest sets the pace. Nothing else buffers.
//
// # Outcomes and verdicts
//
// A stage or a publisher returns an error, and the error is the verdict:
//
//	nil             published: the job is finished
//	ErrFlag         of a stage: counted, and on it goes
//	ErrDrop         a stage filtered the message out: the job is finished
//	Permanent(…)    no retry can mend it: the job is stalled, and kept with its reason
//	ErrUnavailable  nobody is there to take messages: the batch waits where it is, and all that
//	                comes after it, so that an outage costs neither order nor attempts
//	anything else   retried beside the line, with pauses, within a budget; then cancelled, which
//	                puts the job back on its feed; after the last attempt stalled
//
// Only a job that failed for now is published later than its successors. A shadow pipeline
// works beside the line, once: nothing of it changes a verdict or holds anything up.
//
// # Stopping
//
// Run stops in two steps. When its context is done nothing more is claimed, and what is claimed
// is published and settled within the drain time; the rest goes back to the head of its feed, in
// order and uncounted. What is left of the drain time is for Flush, which has publishers hand over what they hold.
// Abort gives everything back at once, and ends Flush. A process that is killed leaves its
// jobs in the feed, claimed. A feed that is a Keeper is looked after until Flush has ended: claims
// of this process are extended, and those of dead ones end. Their jobs go back to the head, in order and
// uncounted, since only a verdict counts as an attempt.
//
// The package imports neither Redis nor HTTP: glue/thoonk implements Feed, glue/push and glue/file
// implement Publisher, and package stages implements Stage. Every count goes into the Ledger.
package glue
