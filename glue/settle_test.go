package glue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// TestASettlementWithoutAnswerSparesTheNextClaim loses the answers of settlements that put a job back: the
// engine has claimed it again when it settles the first claim once more.
func TestASettlementWithoutAnswerSparesTheNextClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		tries := 0
		pub.Outcome = func(_ context.Context, _ *glue.Message) error {
			if tries++; tries <= 2 {
				return errors.New("answered 500")
			}
			return nil
		}
		e := start(t, glue.Config{RetryBudget: time.Nanosecond}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.feed.LoseAnswers(errors.New("connection reset"))
		e.put("a")
		time.Sleep(time.Minute)
		e.feed.LoseAnswers(nil)
		time.Sleep(time.Minute)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "finished", state.Finished, []string{"a"})
		if sums := e.ledger.Sums().Feeds[0]; sums.Claimed != 2 || sums.Cancelled != 1 || sums.Finished != 1 {
			t.Errorf("want 2 claims, one cancelled and one finished: %+v", sums)
		}
	})
}
