package bench

import "slices"

// sequence is what one reader has received of a channel, whose messages count from 0. The zero value has received
// nothing.
type sequence struct {
	next    int    // the number after the highest one that was received
	missing []span // below next, in order; nil for nearly every reader
}

// span is the numbers from begin to before end.
type span struct{ begin, end int }

// arrival is how a message comes.
type arrival uint8

const (
	inOrder arrival = iota // be it after a gap
	late                   // into a gap
	again                  // once more
)

// receive notes that the message n has come.
func (s *sequence) receive(n int) arrival {
	if n >= s.next {
		if n > s.next {
			s.missing = append(s.missing, span{s.next, n})
		}
		s.next = n + 1
		return inOrder
	}
	i := slices.IndexFunc(s.missing, func(gap span) bool { return gap.begin <= n && n < gap.end })
	if i < 0 {
		return again
	}
	s.fill(i, n)
	return late
}

// fill takes n out of the gap i.
func (s *sequence) fill(i, n int) {
	gap := s.missing[i]
	var left []span
	for _, part := range []span{{gap.begin, n}, {n + 1, gap.end}} {
		if part.begin < part.end {
			left = append(left, part)
		}
	}
	s.missing = slices.Replace(s.missing, i, i+1, left...)
}

// lost returns how many of the messages below next have not come.
func (s *sequence) lost() int {
	n := 0
	for _, gap := range s.missing {
		n += gap.end - gap.begin
	}
	return n
}
