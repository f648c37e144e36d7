package faults

import (
	"errors"
	"flag"
	"fmt"
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
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// build builds the daemon, with the race detector if the tests have it, and runs the tests.
func build(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "pushglue-faults")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := service.Build(dir)
	if err != nil {
		return 0, err
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		return 0, err
	}
	// Rounds mostly wait, and so more of them can run than there are processors.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.NumCPU()))); err != nil {
		return 0, err
	}
	if *seedFlag == 0 {
		*seedFlag = uint64(time.Now().UnixNano()) % 1_000_000
	}
	return m.Run(), nil
}

// newRand returns the random numbers of one round.
func newRand(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return rand.New(rand.NewPCG(*seedFlag, h.Sum64()))
}
