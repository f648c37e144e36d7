package demo

import "pushglue/glue"

// node is a place on the way of a job: a stage, or the publisher at the end of a pipeline.
type node struct {
	Node     int    `json:"node"`
	Name     string `json:"name"`
	Pipeline string `json:"pipeline,omitempty"` // of a publisher
}

// way is a piece of the way from the feed through the pipelines, as the page draws it: stages,
// then either the publisher of one pipeline or branches.
type way struct {
	Stages    []node `json:"stages"`
	Publisher *node  `json:"publisher,omitempty"`
	Branches  []way  `json:"branches,omitempty"`
}

// watchPipelines makes w watch each stage and publisher of the pipelines, and returns the way
// through them. A stage that pipelines share stays one; one that stands at two places of the way
// becomes two, which the ledger does not tell apart but the picture does.
func (w *watch) watchPipelines(pipelines []glue.Pipeline) way {
	list := make([]*glue.Pipeline, len(pipelines))
	for i := range pipelines {
		list[i] = &pipelines[i]
	}
	nodes := 0
	return w.watchBranch(list, glue.BranchesOf(list), &nodes)
}

func (w *watch) watchBranch(pipelines []*glue.Pipeline, b glue.Branch, nodes *int) way {
	next := func() int { *nodes++; return *nodes }
	piece := way{Stages: []node{}}
	for i, s := range b.Stages {
		n := node{Node: next(), Name: s.Name}
		watched := &watchedStage{Stage: s.Stage, node: n.Node, watch: w}
		for _, p := range b.Pipelines {
			pipelines[p].Stages[b.First+i].Stage = watched
		}
		piece.Stages = append(piece.Stages, n)
	}
	if len(b.Branches) == 0 {
		p := pipelines[b.Pipelines[0]]
		n := node{Node: next(), Name: p.Target, Pipeline: p.Name}
		p.Publisher = &watchedPublisher{Publisher: p.Publisher, node: n.Node, watch: w}
		piece.Publisher = &n
		return piece
	}
	for _, branch := range b.Branches {
		piece.Branches = append(piece.Branches, w.watchBranch(pipelines, branch, nodes))
	}
	return piece
}
