package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"pushglue/glue"
)

// writePicture draws the way from each feed through its pipelines. The stages that pipelines have
// in common stand there once, as they work once.
func writePicture(w io.Writer, pipelines []glue.Pipeline) error {
	var feeds []string
	byFeed := map[string][]*glue.Pipeline{}
	for i := range pipelines {
		p := &pipelines[i]
		if byFeed[p.Feed] == nil {
			feeds = append(feeds, p.Feed)
		}
		byFeed[p.Feed] = append(byFeed[p.Feed], p)
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, feed := range feeds {
		fmt.Fprintf(t, "feed %s\n", feed)
		for _, line := range drawBranch(byFeed[feed], glue.BranchesOf(byFeed[feed])) {
			fmt.Fprintf(t, "  %s\n", line)
		}
	}
	return t.Flush()
}

// drawBranch returns one line for each pipeline of b; a tab stands before the pipeline's name.
func drawBranch(pipelines []*glue.Pipeline, b glue.Branch) []string {
	var label strings.Builder
	for i, s := range b.Stages {
		if i > 0 {
			label.WriteString(" ─ ")
		}
		label.WriteString(s.Name)
	}
	if len(b.Branches) == 0 {
		p := pipelines[b.Pipelines[0]]
		end := "► " + p.Target + coalescing(p) + "\t" + p.Name
		if p.Shadow {
			end += " (shadow)"
		}
		if label.Len() == 0 {
			return []string{end}
		}
		return []string{label.String() + " ─" + end}
	}
	if label.Len() > 0 {
		label.WriteByte(' ')
	}
	return fork(label.String(), pipelines, b.Branches)
}

// coalescing tells how a pipeline coalesces. A shadow does so without a window.
func coalescing(p *glue.Pipeline) string {
	if p.Coalesce == nil {
		return ""
	}
	text := ", coalesced"
	if !p.Shadow {
		text += " " + p.Coalesce.Window.String()
	}
	if p.Coalesce.Key != nil {
		text += ", latest"
	}
	return text
}

// fork draws branches one below the other behind a label.
func fork(label string, pipelines []*glue.Pipeline, branches []glue.Branch) []string {
	indent := strings.Repeat(" ", len([]rune(label)))
	var lines []string
	for n, b := range branches {
		joint, below := "├─", "│ "
		switch n {
		case 0:
			joint = "┬─"
		case len(branches) - 1:
			joint, below = "└─", "  "
		}
		drawn := drawBranch(pipelines, b)
		if len(b.Stages) > 0 {
			joint += " "
			below += " "
		}
		lines = append(lines, indent+joint+drawn[0])
		for _, line := range drawn[1:] {
			lines = append(lines, indent+below+line)
		}
	}
	lines[0] = label + strings.TrimPrefix(lines[0], indent)
	return lines
}
