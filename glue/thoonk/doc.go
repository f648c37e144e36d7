// Package thoonk keeps feeds in Redis by the Thoonk job contract, so that producers and workers
// of thoonk.py and thoonk.js can share them.
//
// A job goes round like this, and each arrow is one atomic step:
//
//	Put ──> queued ──Claim──> claimed ──Settle──> finished: nothing is left of it but a count
//	          ^                  │
//	          ├──Cancel, Release─┤ also Keep, when the claim is too old
//	          └──Retry── stalled <┘ Stall
//
// The sources are contract.txt and thoonk/feeds/job.py of andyet/thoonk.py, and scripts/job/*.lua
// of andyet/thoonk.js before its 1.0. What they leave open is closed here:
//
//   - Claiming is one script, so no job is ever in no state. Other implementations pop an id in
//     one step and claim it in the next; Lost and Recover find what they lose between the two.
//   - Wait blocks on a command that changes nothing, so a waiting worker holds no job.
//   - Keep ends claims of dead workers, and extends those of this one. The contract asks for it and nobody does it.
//   - Keep brings lost jobs back that no worker can be about to claim any more.
//   - A copy of an id on the queue, or one whose job is gone, is dropped when it is popped.
//   - Finish means done, even for a worker that lost its claim meanwhile.
//
// Two keys are no Thoonk's: with WithStandby, feed.pushglue.active:F names the daemon that may claim, and
// feed.pushglue.reasons:F says why jobs are stalled.
//
// An operator has Counts, Walk, Describe and Job to look at a feed, and Retry, Cancel, CancelOlder, Retract,
// Purge and Recover to change it. They work beside all workers: a script looks at the state of each job
// when it changes it, and takes a bounded number of them.
//
// A round trip costs more than the work in it, so everything takes batches: Put, Claim and Settle
// are one script call for up to 1,000 jobs, and of constant cost for each job, however long the
// queue.
//
// A user of Redis needs no more than this, here for a feed of any name in the dialect thoonk.py
// (thoonk.js has ~jobs ~job.* and &event.job.finish:*):
//
//	~feeds ~feed.* &newfeed &job.finish:* &feed.*
//	+@read +@write +@scripting +@connection +@pubsub +@transaction +time -@dangerous +info
//
// All times that scripts write or compare are the Redis server's.
package thoonk
