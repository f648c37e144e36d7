package faults

import (
	"context"
	"os"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// scenario is one kind of fault.
type scenario struct {
	name string // also in docs/guarantees.md

	hosts    int      // push hosts; 0 for two
	settings []string // of the daemon, beside those of every round
	redis    []string // arguments of redis-server
	under    []string // the command under which redis-server runs
	nginx    []service.NginxOption
	rate     int // jobs put in a second; 0 for 400
	jobs     int // put at least; 0 for 600, or 5,000 in the long form

	// setUp changes the parts before they start; nil for nothing.
	setUp func(*round)

	// confirm returns what the producer does after each job, to make sure that Redis keeps it; nil for nothing.
	confirm func(*round) func(context.Context) error

	// fault does what goes wrong, while jobs are put. It ends when all parts are well again.
	fault func(*round)

	// check asks what only this scenario is asked, when all has settled; nil for nothing.
	check func(*round)

	// once says that no message may come twice.
	once bool

	// crash says that daemons are killed, with what they have counted.
	crash bool

	// answersLost says that Redis claims jobs for a daemon that does not get its answer.
	answersLost bool

	// retried says that messages may fail for now, so that their jobs are cancelled.
	retried bool

	// resets says that hosts begin to count anew.
	resets bool

	// forgets says that Redis may forget what it has answered.
	forgets bool

	// watchdog is how long readers bear silence before they open their streams again; 0 for ever, as browsers do.
	watchdog time.Duration
}

// run runs a scenario on Nchan and, in the long form, on push-stream. build returns it anew for each round, with what
// it remembers.
func run(t *testing.T, build func() scenario) {
	modules := []string{service.Nchan}
	if *longFlag && os.Getenv("PUSH_STREAM_MODULE") != "" {
		modules = append(modules, service.PushStream)
	}
	for _, module := range modules {
		s := build()
		t.Run(s.name+"/"+module, func(t *testing.T) {
			t.Parallel()
			r := newRound(t, s, module)
			r.start()
			s.fault(r)
			r.finish()
			if s.check != nil {
				s.check(r)
			}
		})
	}
}
