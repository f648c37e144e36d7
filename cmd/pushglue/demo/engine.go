package demo

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/live"
	"pushglue/glue"
	"pushglue/glue/file"
	"pushglue/glue/push"
	"pushglue/stages"
	"pushglue/stages/pipelines"
)

//go:embed demo.yml
var pipelinesFile []byte

// What demo.yml names, and others need to know.
const (
	feedName     = "comments"
	firehose     = "firehose" // the channel that gets all messages
	anonymizeKey = "PUSHGLUE_ANONYMIZE_KEY"
	encryptKey   = "PUSHGLUE_ENCRYPT_KEY"
	encryptKeyID = "demo"
)

// trafficChannel is where the page map/ reads which channels are hot.
const trafficChannel = "traffic"

// setKey gives an environment variable a random key and returns it. A key that is there already is not used,
// for the page shows what the demo's keys do: it may be one that matters elsewhere.
func setKey(variable string) (string, error) {
	var key [32]byte
	rand.Read(key[:]) // never fails
	text := hex.EncodeToString(key[:])
	return text, os.Setenv(variable, text)
}

// startEngine makes the engine for feed, and gives p what it shows of it.
func (d *demo) startEngine(feed glue.Feed, p *page) error {
	if _, err := setKey(anonymizeKey); err != nil {
		return err
	}
	var err error
	if p.key, err = setKey(encryptKey); err != nil {
		return err
	}
	list, err := pipelines.Parse("demo.yml", pipelinesFile, d.publishers.constructors())
	if err != nil {
		return err
	}
	counting := live.Count(list, []string{"forum:", "thread:"})
	d.panel = live.New(live.Config{Ledger: d.ledger, Hosts: d.publishers.push, Counting: counting, Channel: trafficChannel})
	p.way = p.watch.watchPipelines(list)
	d.engine, err = glue.New(glue.Config{
		Feeds: []glue.Feed{&watchedFeed{feed, p.watch}}, Pipelines: list, Ledger: d.ledger, Log: d.Log,
	})
	return err
}

// publishers are the engine's publishers: to the push host, and into files.
type publishers struct {
	host   string // base URL of the push host's publish side
	dir    string // of the files
	ledger *glue.Ledger
	log    zerolog.Logger

	push  *push.Publisher // nil until a pipeline wants it
	files []*file.Publisher
}

// constructors returns them as the pipelines file names them.
func (p *publishers) constructors() pipelines.Publishers {
	return pipelines.Publishers{"push": p.newPush, "file": p.newFile}
}

func (p *publishers) newPush(options stages.Options) (glue.Publisher, error) {
	if err := options(&struct{}{}); err != nil || p.push != nil {
		return p.push, err
	}
	var err error
	p.push, err = push.New(push.Config{Hosts: []string{p.host}, Module: push.PushStream, Timeout: 5 * time.Second, Ledger: p.ledger, Log: p.log})
	return p.push, err
}

func (p *publishers) newFile(options stages.Options) (glue.Publisher, error) {
	var c file.Config
	if err := options(&c); err != nil {
		return nil, err
	}
	c.Path = filepath.Join(p.dir, c.Path)
	f, err := file.New(c)
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, f)
	return &shortFile{f, c.Path}, nil
}

// maxFile is how long a file may grow. A demo that runs for days needs no more.
const maxFile = 8 << 20

// shortFile is a file that begins anew when it has become long.
type shortFile struct {
	*file.Publisher
	path string
}

// Publish implements glue.Publisher.
func (f *shortFile) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	if info, err := os.Stat(f.path); err == nil && info.Size() > maxFile {
		_ = os.Truncate(f.path, 0) // else it grows; the publisher appends, wherever the end is
	}
	f.Publisher.Publish(ctx, batch, outcomes)
}

func (p *publishers) close() error {
	if p.push != nil {
		p.push.Close()
	}
	for _, f := range p.files {
		if err := f.Reopen(); err != nil {
			return fmt.Errorf("close the file publisher: %w", err)
		}
	}
	return nil
}
