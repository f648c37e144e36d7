package stages

import "pushglue/glue"

// own has the constructors of stages that are not pushglue's. There are none here: this file is the place that a file of
// one's own takes, with `make build STAGES=FILE`.
var own = map[string]func(Options) (glue.Stage, error){}
