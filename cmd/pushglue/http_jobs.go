package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"pushglue/glue/thoonk"
)

// jobsOrder is what the daemon is told to do with stalled jobs.
type jobsOrder struct {
	Feed   string   `json:"feed"`
	Action string   `json:"action"` // retry or retract
	IDs    []string `json:"ids"`
}

func (o *jobsOrder) check() error {
	switch {
	case o.Action != "retry" && o.Action != "retract":
		return fmt.Errorf("action is %q", o.Action)
	case len(o.IDs) == 0 || len(o.IDs) > idPage:
		return fmt.Errorf("there are %d ids; want 1 to %d", len(o.IDs), idPage)
	}
	return nil
}

// changeTime bounds a change.
const changeTime = 10 * time.Second

// jobsDesk answers /jobs: it retries and retracts stalled jobs, for whoever has the token.
type jobsDesk struct {
	desk
	feeds []*thoonk.Feed
}

func (d jobsDesk) change(w http.ResponseWriter, r *http.Request) {
	if d.token == "" {
		d.refuse(w, http.StatusForbidden, errors.New("the daemon has no PUSHGLUE_HTTP_TOKEN, without which jobs are not changed here; set it, or PUSHGLUE_HTTP_TOKEN_FILE"))
		return
	}
	var order jobsOrder
	if !d.admits(w, r) || !d.read(w, r, &order, `{"feed": "comments", "action": "retry or retract", "ids": ["…"]}`) {
		return
	}
	i := slices.IndexFunc(d.feeds, func(f *thoonk.Feed) bool { return f.Name() == order.Feed })
	if i < 0 {
		d.refuse(w, http.StatusNotFound, fmt.Errorf("the daemon works on no feed %q", order.Feed))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTime)
	defer cancel()
	report, err := d.do(ctx, d.feeds[i], order)
	if err != nil {
		d.log.Error().Err(err).Str("feed", order.Feed).Str("action", order.Action).Int("changed", report.Changed).Msg("cannot change stalled jobs")
		d.refuse(w, http.StatusBadGateway, err)
		return
	}
	d.log.Info().Str("feed", order.Feed).Str("action", order.Action).Int("changed", report.Changed).Msg("stalled jobs were changed over HTTP")
	d.answer(w, http.StatusOK, report)
}

// do changes the jobs that are stalled, and tells in which state the others are.
func (d jobsDesk) do(ctx context.Context, feed *thoonk.Feed, order jobsOrder) (changeReport, error) {
	c := changing{change: change{verb: order.Action, state: thoonk.Stalled}, feed: feed}
	ids := distinct(order.IDs)
	var changed []string
	var err error
	if order.Action == "retry" {
		changed, err = feed.Retry(ctx, ids...)
	} else {
		changed, err = feed.RetractIf(ctx, thoonk.Stalled, ids...)
	}
	if err == nil {
		err = c.refuse(ctx, missing(ids, changed))
	}
	return changeReport{feed.Name(), order.Action, len(changed), append([]refusal{}, c.refused...), err == nil}, err
}
