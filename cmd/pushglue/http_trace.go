package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"pushglue/glue"
)

// maxTraceWait is how long the daemon waits for a job at most; who wants to wait longer asks again.
const maxTraceWait = 20 * time.Second

// traceReport is what the daemon knows of a job.
type traceReport struct {
	Keeps  glue.Keep    `json:"keeps"`
	Traces []glue.Trace `json:"traces"`
}

// traceDesk answers /trace: what became of a job.
type traceDesk struct {
	desk
	traces *glue.Traces
}

// show answers from this machine alone, because channels may tell of people. With wait it begins to answer when it is sure to notice
// the job from then on, and ends when the job is settled.
func (d traceDesk) show(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	feed, job := query.Get("feed"), query.Get("job")
	wait, err := time.ParseDuration(query.Get("wait"))
	switch {
	case !isFromHere(r):
		d.refuse(w, http.StatusForbidden, errors.New("traces are shown on the daemon's own machine"))
		return
	case feed == "" || job == "" || query.Has("wait") && err != nil:
		d.refuse(w, http.StatusBadRequest, errors.New("want /trace?feed=FEED&job=ID, and &wait=10s to wait for it"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	report := traceReport{Keeps: d.traces.Keep()}
	if wait > 0 {
		_, forget := d.traces.Ask(feed, job)
		defer forget()
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), min(wait, maxTraceWait))
		defer cancel()
		report.Traces = d.traces.Wait(ctx, feed, job)
	} else {
		report.Traces = d.traces.Find(feed, job)
	}
	if err := json.NewEncoder(w).Encode(report); err != nil {
		d.log.Debug().Err(err).Msg("cannot answer /trace")
	}
}
