package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// Shells ask for completions with "pushglue __complete"; what is wrong with the settings or a file is not said there.

// completeTime bounds what is asked for while somebody waits for a completion.
const completeTime = time.Second

// completeFirst completes the first argument, and the ones behind it as rest says.
func completeFirst(list func(*cobra.Command) []string, rest cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, rest
		}
		return list(c), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag completes the value of a flag of c.
func completeFlag(c *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // there is no such flag
	}
}

// completeFiles completes names of files. Elsewhere, nothing of ours is one.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// feedNames returns the feeds of the pipelines file.
func feedNames(*cobra.Command) []string {
	var names []string
	for _, p := range namedPipelines() {
		names = append(names, p.Feed)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pipelineNames returns the pipelines of the pipelines file.
func pipelineNames(*cobra.Command) []string {
	var names []string
	for _, p := range namedPipelines() {
		names = append(names, p.Name)
	}
	return names
}

// namedPipeline is what is read of a pipeline here, where its stages, and so their keys, are no matter.
type namedPipeline struct{ Name, Feed string }

func namedPipelines() []namedPipeline {
	var c config
	_ = c.read()
	text, err := os.ReadFile(c.Pipelines)
	if err != nil {
		return nil
	}
	var file struct{ Pipelines []namedPipeline }
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil
	}
	return file.Pipelines
}

// hostNames returns the push hosts of the daemon.
func (a *asking) hostNames(c *cobra.Command) []string {
	address, err := reachable(a.address())
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	report, err := askDaemon(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil
	}
	var names []string
	for _, host := range report.Hosts {
		names = append(names, host.Name)
	}
	return names
}

// completeFeed completes a feed, and behind it what its own tree of commands completes.
func completeFeed(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return feedNames(c), cobra.ShellCompDirectiveNoFileComp
	}
	var out bytes.Buffer
	feed := newFeedCommand(args[0])
	feed.SetOut(&out)
	feed.SetErr(io.Discard)
	feed.SetArgs(slices.Concat([]string{cobra.ShellCompRequestCmd}, args[1:], []string{toComplete}))
	if err := feed.ExecuteContext(c.Context()); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	last := len(lines) - 1
	directive, err := strconv.Atoi(strings.TrimPrefix(lines[last], ":"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return lines[:last], cobra.ShellCompDirective(directive)
}
