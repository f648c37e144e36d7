package glue

import (
	"reflect"
	"slices"
)

// Branch is a piece of the way that some pipelines of a feed have in common: each of its stages
// works once for all of them. Behind it they part, unless there is only one.
type Branch struct {
	First     int          // place of Stages[0] in each of the pipelines
	Stages    []NamedStage // may be empty
	Pipelines []int        // places in the list that the branches were made of
	Branches  []Branch     // none when there is one pipeline, else one or more for each
}

// BranchesOf returns the way from a feed through its pipelines. Two pipelines share a stage when
// it has the same name and is the same in both, ==, and so are all before it: a stage must not
// depend on anything but the message. A shadow shares nothing, because it works by itself.
func BranchesOf(pipelines []*Pipeline) Branch {
	var all, required []int
	var shadows []Branch
	for i, p := range pipelines {
		all = append(all, i)
		if p.Shadow {
			shadows = append(shadows, branchOf(pipelines, []int{i}, 0))
		} else {
			required = append(required, i)
		}
	}
	var branches []Branch
	if len(required) > 0 {
		b := branchOf(pipelines, required, 0)
		if len(shadows) == 0 {
			return b
		}
		branches = []Branch{b}
		if len(b.Stages) == 0 && len(b.Branches) > 0 {
			branches = b.Branches // they part at once, as the shadows do
		}
	}
	if branches = append(branches, shadows...); len(branches) == 1 {
		return branches[0]
	}
	return Branch{Pipelines: all, Branches: branches}
}

func branchOf(pipelines []*Pipeline, places []int, first int) Branch {
	stages := pipelines[places[0]].Stages[first:]
	for _, p := range places[1:] {
		stages = stages[:common(stages, pipelines[p].Stages[first:])]
	}
	b := Branch{First: first, Stages: stages, Pipelines: places}
	if len(places) == 1 {
		return b
	}
	next := first + len(stages)
	var groups [][]int
	for _, p := range places {
		g := slices.IndexFunc(groups, func(group []int) bool {
			return common(pipelines[group[0]].Stages[next:], pipelines[p].Stages[next:]) > 0
		})
		if g < 0 {
			groups = append(groups, []int{p})
		} else {
			groups[g] = append(groups[g], p)
		}
	}
	for _, group := range groups {
		b.Branches = append(b.Branches, branchOf(pipelines, group, next))
	}
	return b
}

// common returns how many stages a and b begin with that are the same.
func common(a, b []NamedStage) int {
	n := 0
	for n < len(a) && n < len(b) && same(a[n], b[n]) {
		n++
	}
	return n
}

func same(a, b NamedStage) bool {
	return a.Name == b.Name && reflect.TypeOf(a.Stage) == reflect.TypeOf(b.Stage) &&
		reflect.ValueOf(a.Stage).Comparable() && a.Stage == b.Stage
}
