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
// depend on anything but the message.
func BranchesOf(pipelines []*Pipeline) Branch {
	all := make([]int, len(pipelines))
	for i := range all {
		all[i] = i
	}
	return branchOf(pipelines, all, 0)
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
