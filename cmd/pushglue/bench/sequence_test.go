package bench

import "testing"

func TestSequence(t *testing.T) {
	for name, test := range map[string]struct {
		numbers []int
		want    []arrival
		lost    int
		next    int
	}{
		"nothing":            {nil, nil, 0, 0},
		"in order":           {[]int{0, 1, 2}, []arrival{inOrder, inOrder, inOrder}, 0, 3},
		"gap at the start":   {[]int{2}, []arrival{inOrder}, 2, 3},
		"gaps":               {[]int{0, 2, 5}, []arrival{inOrder, inOrder, inOrder}, 3, 6},
		"again":              {[]int{0, 0, 1, 0}, []arrival{inOrder, again, inOrder, again}, 0, 2},
		"late":               {[]int{1, 0, 2}, []arrival{inOrder, late, inOrder}, 0, 3},
		"late and again":     {[]int{1, 0, 0}, []arrival{inOrder, late, again}, 0, 2},
		"a gap's ends":       {[]int{4, 0, 3}, []arrival{inOrder, late, late}, 2, 5},
		"a gap's middle":     {[]int{5, 2, 2, 1, 3}, []arrival{inOrder, late, again, late, late}, 2, 6},
		"into the first gap": {[]int{2, 5, 0, 1}, []arrival{inOrder, inOrder, late, late}, 2, 6},
	} {
		t.Run(name, func(t *testing.T) {
			var s sequence
			for i, n := range test.numbers {
				if got := s.receive(n); got != test.want[i] {
					t.Errorf("%d comes as %d, want %d", n, got, test.want[i])
				}
			}
			if s.lost() != test.lost || s.next != test.next {
				t.Errorf("%d lost of %d, want %d of %d", s.lost(), s.next, test.lost, test.next)
			}
		})
	}
}
