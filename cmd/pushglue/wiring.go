package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/file"
	"pushglue/glue/push"
	"pushglue/stages"
	"pushglue/stages/pipelines"
)

// wiring is what the pipelines file makes of the settings. Nothing in it is connected.
type wiring struct {
	pipelines []glue.Pipeline
	push      *push.Publisher // nil if no pipeline publishes to push hosts
	files     map[string]*file.Publisher
}

// newWiring reads the pipelines file and makes its publishers.
func newWiring(c config, ledger *glue.Ledger, log zerolog.Logger) (*wiring, error) {
	w := &wiring{files: map[string]*file.Publisher{}}
	publishers := pipelines.Publishers{
		"push": func(options stages.Options) (glue.Publisher, error) {
			if err := options(&struct{}{}); err != nil {
				return nil, err
			}
			return w.pushPublisher(c, ledger, log)
		},
		"file": w.filePublisher,
	}
	var err error
	w.pipelines, err = pipelines.Load(c.Pipelines, publishers)
	return w, err
}

// pushPublisher returns the one publisher that all pipelines share: it keeps the hosts' state.
func (w *wiring) pushPublisher(c config, ledger *glue.Ledger, log zerolog.Logger) (glue.Publisher, error) {
	if w.push != nil {
		return w.push, nil
	}
	p, err := push.New(push.Config{
		Hosts: c.PushHosts, Module: push.Module(c.PushModule), Timeout: c.PushTimeout, Ledger: ledger, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("PUSHGLUE_PUSH_HOSTS: %w", err)
	}
	w.push = p
	return p, nil
}

func (w *wiring) filePublisher(options stages.Options) (glue.Publisher, error) {
	var o struct {
		Path  string     `yaml:"path"`
		Fsync file.Fsync `yaml:"fsync"`
	}
	if err := options(&o); err != nil {
		return nil, err
	}
	if w.files[o.Path] != nil {
		return nil, fmt.Errorf("path: another pipeline writes to %s already", o.Path)
	}
	p, err := file.New(file.Config{Path: o.Path, Fsync: o.Fsync})
	if err != nil {
		return nil, err
	}
	w.files[o.Path] = p
	return p, nil
}

// feeds returns the names of the feeds that pipelines work on.
func (w *wiring) feeds() []string {
	names := map[string]bool{}
	for _, p := range w.pipelines {
		names[p.Feed] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// reopenFiles closes the files so that they are opened again under their names.
func (w *wiring) reopenFiles() error {
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Reopen())
	}
	return errors.Join(errs...)
}
