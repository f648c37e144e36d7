package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pushglue/glue/gluetest/service"
)

// disk is a small one, with a file of a publisher on it.
type disk struct{ dir string }

// setUp gives the first feed a second pipeline, into the file.
func (d *disk) setUp(r *round) {
	service.NeedRoot(r.T, "a small disk, which is a mount of tmpfs,")
	d.dir = r.TempDir()
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=8m"); err != nil {
		r.Fatalf("mount a tmpfs: %v", err)
	}
	r.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			r.Errorf("unmount the tmpfs: %v", err)
		}
	})
	text, err := os.ReadFile(r.writePipelines())
	if err != nil {
		r.Fatal(err)
	}
	r.stages["archive"] = []string{"json"}
	r.pipelines = r.write("pipelines.yml", fmt.Sprintf("%s  - {name: archive, feed: %s, stages: [json], publish: {file: {path: %s}}}\n", text, feeds[0], d.file()))
}

func (d *disk) file() string { return filepath.Join(d.dir, "archive.jsonl") }

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no room.
func (d *disk) fill(r *round) {
	r.Helper()
	f, err := os.Create(d.ballast())
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		r.Fatalf("fill the disk: %v", err)
	}
}

func (d *disk) empty(r *round) {
	r.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		r.Fatal(err)
	}
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// check requires that the file has every job of its feed, in order, once.
func (d *disk) check(r *round) {
	r.Helper()
	text, err := os.ReadFile(d.file())
	if err != nil {
		r.Fatal(err)
	}
	next := 1
	for line := range bytes.Lines(text) {
		var message struct{ All int }
		if err := json.Unmarshal(line, &message); err != nil {
			r.Fatalf("line %d of the file: %v", next, err)
		}
		if message.All != next {
			r.Fatalf("line %d of the file has message %d", next, message.All)
		}
		next++
	}
	if want := r.producer.counts[feeds[0]]; next-1 != want {
		r.Errorf("the file has %d lines, want %d", next-1, want)
	}
}

// TestDisk fills the disk that a publisher writes to.
func TestDisk(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		var d disk
		return scenario{
			name: "disk full", once: true, setUp: d.setUp,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(500 + r.rng.IntN(1000))
					r.noticed("nobody takes messages", func() { d.fill(r) })
					r.progress(200 + r.rng.IntN(500)) // of the other feed
					d.empty(r)
				}
				r.progress(500)
			},
			check: d.check,
		}
	})
}
