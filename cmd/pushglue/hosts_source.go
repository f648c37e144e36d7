package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/rs/zerolog"

	"pushglue/glue/push"
)

// discovery returns what finds the push hosts: the list or the file of the settings.
func (c *config) discovery(log zerolog.Logger) *push.Discovery {
	d := &push.Discovery{File: c.PushHostsFile, Every: c.PushResolve, Log: log}
	if d.File == "" {
		d.Hosts = c.PushHosts
	}
	return d
}

// checkPushHosts returns what is wrong with the list or the file. It asks nobody for names.
func (c *config) checkPushHosts() error {
	name := envPrefix + "_PUSH_HOSTS"
	if c.PushHostsFile != "" {
		if os.Getenv(name) != "" {
			return fmt.Errorf("%s and %[1]s_FILE are both set; want one of them", name)
		}
		name += "_FILE"
	}
	if err := c.discovery(zerolog.Nop()).Check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// policy returns which push hosts must have a message. Where hosts come and go, enough of them may come.
func (c *config) policy() (push.Policy, error) {
	hosts, isFixed := c.discovery(zerolog.Nop()).Fixed()
	if !isFixed {
		hosts = math.MaxInt
	}
	return push.ParsePolicy(c.PushPolicy, hosts)
}

// findHosts finds the push hosts that there are now. A name without an address is an error.
func (w *wiring) findHosts(ctx context.Context) error {
	if w.hosts == nil {
		return nil
	}
	targets, err := w.hosts.Find(ctx)
	if len(targets) > 0 {
		err = errors.Join(err, w.push.SetHosts(targets))
	}
	if err != nil {
		return fmt.Errorf("push hosts: %w", err)
	}
	return nil
}

// followHosts finds the push hosts, and changes them when others are found, until the returned function is called. As long as
// there are none, messages wait.
func (w *wiring) followHosts(ctx context.Context) (unfollow func(), err error) {
	if w.hosts == nil {
		return func() {}, nil
	}
	if err := w.hosts.Begin(ctx, w.push.SetHosts); err != nil {
		return nil, fmt.Errorf("push hosts: %w", err)
	}
	if len(w.push.Hosts()) == 0 {
		w.log.Warn().Msg("there are no push hosts yet: messages wait")
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.hosts.Follow(ctx, w.push.SetHosts)
	}()
	return func() { cancel(); <-ended }, nil
}
