// A module of its own, so that pushglue's ./... leaves it out: it is built in the place of stages/own.go.
module own
