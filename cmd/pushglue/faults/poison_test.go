package faults

import (
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// poisons make a job that can never be published of one that could.
var poisons = []func(*job){
	func(j *job) { j.payload = j.payload[:len(j.payload)/2] },                                        // bad JSON
	func(j *job) { j.payload = strings.Replace(j.payload, `"thread":`, `"thread":"a?b","was":`, 1) }, // bad channel
	func(j *job) { j.payload = strings.Replace(j.payload, `"thread":`, `"threat":`, 1) },             // a stage that fails
	func(j *job) {
		j.payload = strings.Replace(j.payload, `"text":"`, `"text":"`+strings.Repeat("x", 5000), 1)
	},
}

// TestPoison mixes one job into each hundred that can never be published.
func TestPoison(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "poison", once: true,
			nginx: []service.NginxOption{service.NginxFile("common/internal-body.conf", "client_max_body_size 4k;\nclient_body_buffer_size 4k;\n")},
			setUp: func(r *round) { r.spoil = 100 },
			fault: func(r *round) {
				r.progress(3000)
				r.eventually("jobs stall", func() bool {
					c, ok := r.census(feeds[0])
					return ok && len(c.Stalled) > 0
				})
			},
		}
	})
}
