package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/file"
	"pushglue/glue/push"
	"pushglue/stages"
	"pushglue/stages/marks"
	"pushglue/stages/pipelines"
)

// wiring is what the pipelines file makes of the settings. Nothing in it is connected.
type wiring struct {
	pipelines []glue.Pipeline
	push      *push.Publisher            // nil if no pipeline publishes to push hosts
	hosts     *push.Discovery            // which hosts; nil if they are always the same
	files     map[string]*file.Publisher // by absolute path
	log       zerolog.Logger
}

// newWiring reads the pipelines file and makes its publishers. The caller closes it, even after
// an error.
func newWiring(c config, ledger *glue.Ledger, log zerolog.Logger) (*wiring, error) {
	w := &wiring{files: map[string]*file.Publisher{}, log: log}
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
	for i := range w.pipelines {
		w.pipelines[i].MaxPayload = c.MaxPayload
	}
	if unread := (*fs.PathError)(nil); errors.As(err, &unread) && unread.Path == c.Pipelines {
		err = fmt.Errorf("PUSHGLUE_PIPELINES: %w", err)
	}
	return w, err
}

// pushPublisher returns the one publisher that all pipelines share: it keeps the hosts' state.
func (w *wiring) pushPublisher(c config, ledger *glue.Ledger, log zerolog.Logger) (glue.Publisher, error) {
	if w.push != nil {
		return w.push, nil
	}
	module := push.Module(c.PushModule)
	policy, err := c.policy()
	secure, insecure := c.pushTLS()
	if errors.Join(err, insecure, push.CheckAuthorization(c.PushAuthorization), c.checkPushHosts()) != nil || c.SkipEmpty && push.CheckSkipEmpty(module) != nil {
		return new(push.Publisher), nil // readConfig says what is wrong
	}
	discovery := c.discovery(log)
	var hosts []string
	_, isFixed := discovery.Fixed()
	if isFixed {
		hosts = c.PushHosts
	}
	p, err := push.New(push.Config{
		Hosts: hosts, Waits: !isFixed, Module: module, Timeout: c.PushTimeout, Connections: c.PushConnections, SkipEmpty: c.SkipEmpty,
		TLS: secure, Authorization: c.PushAuthorization, Ledger: ledger, Log: log,
		Policy: policy, Deadline: c.PushDeadline, Recent: push.Recent{Messages: c.ReplayMessages, Time: c.ReplayTime},
	})
	if err != nil {
		return nil, fmt.Errorf("PUSHGLUE_PUSH_HOSTS: %w", err)
	}
	w.push = p
	if !isFixed {
		w.hosts = discovery
	}
	return p, nil
}

func (w *wiring) filePublisher(options stages.Options) (glue.Publisher, error) {
	var o file.Config
	if err := options(&o); err != nil {
		return nil, err
	}
	p, err := file.New(o)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	if w.files[path] != nil {
		return nil, fmt.Errorf("path: another pipeline writes to %s already", o.Path)
	}
	w.files[path] = p
	return p, nil
}

// flush waits for push hosts that are behind, and closes w, so that nothing comes behind what another daemon sends next.
// What hosts lack when ctx is done they do not get, and that is counted: readers of other hosts have it, and its jobs are finished.
func (w *wiring) flush(ctx context.Context) {
	if w.push == nil {
		return
	}
	if err := w.push.Flush(ctx); err != nil {
		w.log.Warn().Err(err).Msg("stopping all the same")
	}
	w.close()
}

// remember gives the stages that remember messages a memory in Redis. Without it, as in check and try, they pass all.
func (w *wiring) remember(rdb redis.UniversalClient) {
	for _, p := range w.pipelines {
		for _, stage := range p.Stages {
			if dedupe, is := stage.Stage.(*stages.Dedupe); is {
				dedupe.Remember(marks.New(rdb, p.Feed, p.Name))
			}
		}
	}
}

// close ends what the publishers do beside publishing.
func (w *wiring) close() {
	if w.push != nil {
		w.push.Close()
	}
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
