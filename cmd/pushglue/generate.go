package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newGenerateCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "generate DIR",
		Short:  "Write the manual pages and the shell completions, for a release",
		Hidden: true,
		Args:   arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			files, err := generated(c.Root())
			if err != nil {
				return err
			}
			for name, text := range files {
				path := filepath.Join(args[0], name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, text, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// generated returns the manual pages and the completions of a root command, each under the name by which its reader finds it.
func generated(root *cobra.Command) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, write := range map[string]func(io.Writer) error{
		"bash/pushglue":      func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh/_pushglue":      root.GenZshCompletion,
		"fish/pushglue.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return nil, err
		}
		files["completions/"+name] = b.Bytes()
	}
	for _, c := range manualCommands(root) {
		files["man/"+manualName(c)+".1"] = manualPage(c)
	}
	return files, nil
}

// manualCommands returns the commands that have a page: those that can be called, in the place of jobs the tree behind a feed.
func manualCommands(c *cobra.Command) []*cobra.Command {
	if c.Name() == "jobs" && c.HasParent() {
		c = newFeedCommand("")
	}
	list := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" {
			list = append(list, manualCommands(sub)...)
		}
	}
	return list
}

// manualName returns a name such as pushglue-jobs-list.
func manualName(c *cobra.Command) string {
	return strings.ReplaceAll(strings.ReplaceAll(c.CommandPath(), " FEED", ""), " ", "-")
}

// manual writes a manual page in the language of man(7).
type manual struct{ bytes.Buffer }

func manualPage(c *cobra.Command) []byte {
	c.InitDefaultHelpFlag()
	var p manual
	name := manualName(c)
	fmt.Fprintf(&p, ".TH %s 1 \"\" \"pushglue %s\"\n.ad l\n.nh\n", roff(strings.ToUpper(name)), roff(version))
	p.section("NAME")
	fmt.Fprintf(&p, "%s \\- %s\n", roff(name), roff(c.Short))
	p.section("SYNOPSIS")
	fmt.Fprintf(&p, ".B %s\n", roff(c.UseLine()))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&p, ".br\n.B %s [command]\n", roff(c.CommandPath()))
	}
	p.section("DESCRIPTION")
	text, _, hasSettings := strings.Cut(cmp.Or(c.Long, c.Short+"."), settingsHeading)
	p.prose(text)
	if c.HasAvailableFlags() {
		p.section("OPTIONS")
		c.Flags().VisitAll(p.option)
		c.InheritedFlags().VisitAll(p.option)
	}
	if hasSettings {
		p.section("ENVIRONMENT")
		for _, s := range settings() {
			p.item(s.name, s.text+". Default: "+cmp.Or(s.value, "none")+".")
		}
	}
	if c.Example != "" {
		p.section("EXAMPLES")
		p.preformatted(c.Example)
	}
	if related := relatedPages(c); len(related) > 0 {
		p.section("SEE ALSO")
		fmt.Fprintln(&p, roff(strings.Join(related, ", ")))
	}
	return p.Bytes()
}

// relatedPages returns the pages of the command above, and of those below.
func relatedPages(c *cobra.Command) []string {
	var names []string
	if name := manualName(c); strings.Contains(name, "-") {
		names = append(names, name[:strings.LastIndex(name, "-")]+"(1)")
	}
	for _, sub := range manualCommands(c)[1:] {
		if name := manualName(sub); strings.Count(name, "-") == strings.Count(manualName(c), "-")+1 {
			names = append(names, name+"(1)")
		}
	}
	return slices.Compact(names)
}

func (p *manual) section(name string) { fmt.Fprintf(p, ".SH %s\n", name) }

func (p *manual) item(term, text string) { fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(term), roff(text)) }

func (p *manual) option(f *pflag.Flag) {
	if f.Hidden {
		return
	}
	term := "--" + f.Name
	if f.Shorthand != "" {
		term = "-" + f.Shorthand + ", " + term
	}
	value, usage := pflag.UnquoteUsage(f)
	switch {
	case f.NoOptDefVal != "" && value != "":
		term += "[=" + value + "]"
	case value != "":
		term += " " + value
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "[]" {
		usage += " (default: " + f.DefValue + ")"
	}
	p.item(term, usage)
}

// prose writes a text for a terminal: paragraphs, and blocks of lines that are to stay as they are.
func (p *manual) prose(text string) {
	for i, block := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			fmt.Fprintln(p, ".PP")
		}
		if strings.HasPrefix(block, " ") || strings.Contains(block, "  ") {
			p.preformatted(block)
			continue
		}
		for line := range strings.Lines(block) {
			fmt.Fprintln(p, roff(strings.TrimSuffix(line, "\n")))
		}
	}
}

func (p *manual) preformatted(text string) {
	fmt.Fprintln(p, ".nf")
	for line := range strings.Lines(text) {
		fmt.Fprintln(p, roff(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(p, ".fi")
}

// roff returns a line whose characters stand for themselves.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\(rs`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`).Replace(line)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return line
}
