package pdatalayout

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRewind: what is cut again is empty, stands where it stood before, and what was not cut again is let go.
func TestRewind(t *testing.T) {
	cut := func(s *Slab[*int], n int) (at map[**int]bool) {
		at = make(map[**int]bool)
		for i := range n {
			one, some := s.One(), s.Take(3, 2)
			require.Nil(t, *one)
			require.Len(t, some, 3)
			require.Equal(t, 5, cap(some))
			for k, v := range some[:5] {
				require.Nil(t, v)
				some[:5][k] = &i
			}
			*one = &i
			at[one], at[&some[0]] = true, true
		}
		return at
	}
	s := Slab[*int]{Keep: true}
	first := cut(&s, 5000)
	s.Rewind()
	again := 0
	for at := range cut(&s, 50) {
		if first[at] {
			again++
		}
	}
	require.Equal(t, 100, again)
	s.Rewind()
	full := 0
	for _, values := range s.kept {
		for _, v := range values {
			if v != nil {
				full++
			}
		}
	}
	require.Equal(t, 50*6, full, "what was cut before the last time is let go")
	large := s.Take(1<<20, 0)
	require.Len(t, large, 1<<20)
	s.Rewind()
	require.Len(t, s.Take(1, 0), 1)

	once := Slab[*int]{}
	cut(&once, 100)
	require.Empty(t, once.kept, "it holds nothing of what was full")
}
