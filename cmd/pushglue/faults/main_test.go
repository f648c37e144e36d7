package faults

import (
	"flag"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

var (
	seedFlag = flag.Uint64("seed", 0, "what the faults are drawn from; 0 for another one each time")
	longFlag = flag.Bool("long", false, "the long form, in some twenty minutes")
)

// binaryVariable names the daemon's binary to tests: TestMain builds it once.
const binaryVariable = "FAULTS_PUSHGLUE"

func TestMain(m *testing.M) {
	flag.Parse()
	// Rounds mostly wait, and so more of them can run than there are processors.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.NumCPU()))); err != nil {
		panic(err) // it is a flag of every test
	}
	if *seedFlag == 0 {
		*seedFlag = uint64(time.Now().UnixNano()) % 1_000_000
	}
	os.Exit(service.RunWithBinary(m, binaryVariable))
}

// newRand returns the random numbers of one round.
func newRand(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return rand.New(rand.NewPCG(*seedFlag, h.Sum64()))
}
