package faults

import (
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// poison makes a job that can never be published of one that could. One without places reaches nobody.
type poison func(*job)

// poisons are of all kinds.
var poisons = []poison{
	func(j *job) { j.payload, j.place = j.payload[:len(j.payload)/2], nil }, // bad JSON
	func(j *job) { // bad channel
		j.payload, j.place = strings.Replace(j.payload, `"thread":`, `"thread":"a?b","was":`, 1), nil
	},
	func(j *job) { // a stage that fails
		j.payload, j.place = strings.Replace(j.payload, `"thread":`, `"threat":`, 1), nil
	},
	func(j *job) { // too long for all hosts
		j.payload = strings.Replace(j.payload, `"text":"`, `"text":"`+strings.Repeat("x", 5000), 1)
		j.place, j.refused = nil, true
	},
}

// TestPoison mixes one job into each hundred that can never be published.
func TestPoison(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "poison", once: true,
			nginx: []service.NginxOption{service.NginxFile("common/internal-body.conf", "client_max_body_size 4k;\nclient_body_buffer_size 4k;\n")},
			setUp: func(r *round) { r.spoil, r.poisons = 100, poisons },
			fault: func(r *round) {
				r.progress(3000)
				r.eventually("jobs stall", func() bool {
					c, ok := r.census(feeds[0])
					return ok && len(c.Stalled) > 0
				})
			},
			check: (*round).checkSpoilt,
		}
	})
}

func (r *round) checkSpoilt() {
	r.Helper()
	if len(r.producer.poison) == 0 {
		r.Error("no job was poison")
	}
}
