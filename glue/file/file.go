// Package file publishes messages to a file: one body a line.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pushglue/glue"
)

// Fsync says when a file is forced to the disk. The names are those of Redis's appendfsync.
type Fsync string

// The fsync policies.
const (
	Always   Fsync = "always"   // before a batch counts as published: a job that is finished is on the disk
	EverySec Fsync = "everysec" // at most once a second: a crash of the machine loses what came last
	Never    Fsync = "never"    // whenever the system does
)

// Config is what a Publisher is made of.
type Config struct {
	Path  string `yaml:"path"`  // its directory must exist; the file is made if it does not
	Fsync Fsync  `yaml:"fsync"` // default Always
}

// mode is that of a new file: others may not read what readers of a channel may.
const mode = 0o640

// Publisher appends messages to a file.
type Publisher struct {
	config Config

	mu     sync.Mutex
	file   *os.File // nil until the first message, and after Reopen
	synced time.Time
	lines  []byte // reused
}

var _ glue.Publisher = (*Publisher)(nil)

// New returns a Publisher. It opens the file at the first message.
func New(c Config) (*Publisher, error) {
	if c.Path == "" {
		return nil, errors.New("path: name the file to write to")
	}
	if c.Fsync == "" {
		c.Fsync = Always
	}
	switch c.Fsync {
	case Always, EverySec, Never:
	default:
		return nil, fmt.Errorf("fsync: %q is none of %s, %s, %s", c.Fsync, Always, EverySec, Never)
	}
	return &Publisher{config: c}, nil
}

// Check reports why the file cannot be written, as far as that can be told without opening it.
func (p *Publisher) Check() error {
	dir := filepath.Dir(p.config.Path)
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("file %s: its directory is not there: %w", p.config.Path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("file %s: %s is no directory", p.config.Path, dir)
	}
	if info, err = os.Stat(p.config.Path); err == nil && info.IsDir() {
		return fmt.Errorf("file %s: this is a directory", p.config.Path)
	}
	return nil
}

// Publish implements glue.Publisher. A batch is written as a whole or, when that fails, not at
// all. That is no message's fault, so they wait: the outcome of all is glue.ErrUnavailable.
func (p *Publisher) Publish(_ context.Context, batch []*glue.Message, outcomes []error) {
	err := p.write(batch)
	if err != nil {
		err = fmt.Errorf("%w: %w", glue.ErrUnavailable, err)
	}
	for i := range outcomes {
		outcomes[i] = err
	}
}

func (p *Publisher) write(batch []*glue.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.open(); err != nil {
		return err
	}
	// Something else may have cut or moved the file's end, such as a rotation.
	info, err := p.file.Stat()
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	p.lines = p.lines[:0]
	for _, m := range batch {
		p.lines = append(append(p.lines, m.Body()...), '\n')
	}
	if _, err := p.file.Write(p.lines); err != nil {
		// Half a line would spoil the next one.
		return errors.Join(fmt.Errorf("write file: %w", err), p.file.Truncate(info.Size()))
	}
	if err := p.sync(); err != nil {
		return errors.Join(fmt.Errorf("sync file: %w", err), p.file.Truncate(info.Size()))
	}
	return nil
}

// open opens the file if it is not open.
func (p *Publisher) open() error {
	if p.file != nil {
		return nil
	}
	file, err := os.OpenFile(p.config.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	p.file = file
	return nil
}

func (p *Publisher) sync() error {
	switch p.config.Fsync {
	case Never:
		return nil
	case EverySec:
		if time.Since(p.synced) < time.Second {
			return nil
		}
	}
	p.synced = time.Now()
	return p.file.Sync()
}

// Reopen closes the file, so that the next message opens the one that has its name then: for
// log rotation. Call it at the end too.
func (p *Publisher) Reopen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	file := p.file
	p.file = nil
	var err error
	if p.config.Fsync != Never {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	return nil
}
