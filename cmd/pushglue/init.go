package main

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// starter is what init writes, as it is in packagedDirectory.
//
//go:embed starter
var starter embed.FS

// packagedDirectory is where packages and Ansible have the configuration.
const packagedDirectory = "/etc/pushglue"

// starterKeys are the secrets that the starter's environment names, each in a file of this name in secrets.
var starterKeys = []string{"PUSHGLUE_ANONYMIZE_KEY", "PUSHGLUE_HTTP_TOKEN"}

func newInitCommand() *cobra.Command {
	var b beginning
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a configuration to start with",
		Long: `Writes a configuration to start with into a directory, the working one by default, and says what to
do next:

  pipelines.yml  what becomes of the jobs of a feed called comments
  environment    the settings that most installations change
  secrets/       keys, made at random, which only you can read
  jobs.jsonl     three jobs to try it with

What is there already is never overwritten, unless by --force. A key that is there stays in any case: with another
one, people would have other pseudonyms.`,
		Example: `  pushglue init
  pushglue init /srv/pushglue`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			b.directory = "."
			if len(args) > 0 {
				b.directory = args[0]
			}
			return b.run(c.OutOrStdout())
		},
	}
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	cmd.Flags().BoolVar(&b.force, "force", false, "overwrite what is there, but for keys")
	return cmd
}

// beginning is one run of init.
type beginning struct {
	directory string
	force     bool
}

// newFile is a file that init writes.
type newFile struct {
	name, purpose string
	text          []byte
	isKey         bool
}

func (b *beginning) run(out io.Writer) error {
	directory, err := filepath.Abs(b.directory)
	if err != nil {
		return err
	}
	if strings.ContainsFunc(directory, func(r rune) bool { return r == '\'' || r < ' ' }) {
		return usageError{fmt.Errorf("%q has a quote or a control character in it, which its environment file could not name", directory)}
	}
	b.directory = directory
	files, err := b.files()
	if err != nil {
		return err
	}
	if err := b.refuse(files); err != nil {
		return err
	}
	if err := os.MkdirAll(b.path("secrets"), 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err := b.write(f, out); err != nil {
			return err
		}
	}
	return b.sayWhatNext(out)
}

func (b *beginning) path(name string) string { return filepath.Join(b.directory, name) }

// files returns what is to be written for the directory.
func (b *beginning) files() ([]newFile, error) {
	files := []newFile{
		{name: "pipelines.yml", purpose: "what becomes of the jobs"},
		{name: "environment", purpose: "the settings"},
		{name: "jobs.jsonl", purpose: "three jobs to try it with"},
	}
	for i, f := range files {
		text, err := starter.ReadFile("starter/" + f.name)
		if err != nil {
			return nil, err
		}
		files[i].text = moved(text, b.directory)
	}
	for _, name := range starterKeys {
		key := make([]byte, 32)
		rand.Read(key)
		files = append(files, newFile{name: "secrets/" + name, purpose: "a key, made at random", text: []byte(hex.EncodeToString(key) + "\n"), isKey: true})
	}
	return files, nil
}

// moved returns the text of a file of the starter with the paths that it has in another directory.
func moved(text []byte, directory string) []byte {
	paths := regexp.MustCompile(regexp.QuoteMeta(packagedDirectory) + `[\w./-]*`)
	return paths.ReplaceAllFunc(text, func(path []byte) []byte {
		return []byte(quoted(directory + strings.TrimPrefix(string(path), packagedDirectory)))
	})
}

// quoted returns a value as shells and systemd's environment files take it. Only what needs them is in quotes, since Docker's
// environment files have none.
func quoted(value string) string {
	if regexp.MustCompile(`^[\w./:,@-]+$`).MatchString(value) {
		return value
	}
	return "'" + value + "'"
}

// refuse fails if something would be overwritten that must not be.
func (b *beginning) refuse(files []newFile) error {
	var there []string
	for _, f := range files {
		_, err := os.Lstat(b.path(f.name))
		switch {
		case err == nil && !f.isKey:
			there = append(there, b.path(f.name))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if len(there) == 0 || b.force {
		return nil
	}
	return fmt.Errorf("nothing was written, since these are there: %s; choose another directory, or overwrite them with --force", strings.Join(there, ", "))
}

// write writes a file, and says so. Keys, and what comes up meanwhile, it leaves alone.
func (b *beginning) write(file newFile, out io.Writer) error {
	mode, flags := fs.FileMode(0o640), os.O_WRONLY|os.O_CREATE|os.O_EXCL
	switch {
	case file.isKey:
		mode = 0o600
	case b.force:
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(b.path(file.name), flags, mode)
	if file.isKey && errors.Is(err, fs.ErrExist) {
		_, err = fmt.Fprintf(out, "kept   %s\n", b.path(file.name))
		return err
	}
	if err != nil {
		return err
	}
	_, err = f.Write(file.text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "wrote  %s: %s\n", b.path(file.name), file.purpose)
	return err
}

// sayWhatNext tells the commands that come next, as a shell takes them.
func (b *beginning) sayWhatNext(out io.Writer) error {
	environment, jobs := quoted(b.path("environment")), quoted(b.path("jobs.jsonl"))
	_, err := fmt.Fprintf(out, `
Next, with nothing else running:

  set -a; . %s; set +a
  pushglue check
  pushglue try -v comments %s

Then, with a Redis and a push host where %[1]s says (the directory nginx/ of pushglue has all of a push host):

  pushglue check --connect
  pushglue run

and from another terminal:

  set -a; . %[1]s; set +a
  pushglue put --wait comments %[2]s
`, environment, jobs)
	return err
}
