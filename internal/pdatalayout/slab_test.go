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

// TestWideTakes: values that are many for a slab, or for the small ones that come first, leave the slabs to what comes behind them.
func TestWideTakes(t *testing.T) {
	const most = mostBytes / 8 // values
	for name, wide := range map[string]int{"too many for any": most/2 + 1, "too many for the small ones": most / 4} {
		t.Run(name, func(t *testing.T) {
			s := Slab[*int]{Keep: true}
			cut := func(n int) (at map[**int]bool) {
				at = make(map[**int]bool)
				for i := range n {
					if i == 10 {
						for _, v := range s.Take(wide, 0) {
							require.Nil(t, v)
						}
					}
					one := s.One()
					require.Nil(t, *one)
					*one = &i
					at[one] = true
				}
				s.Rewind()
				return at
			}
			for len(s.kept) < 10 { // the first ones are small
				*s.One() = new(int)
			}
			s.Rewind()
			first := cut(4 * most)
			kept := len(s.kept)
			for range 3 {
				again := 0
				for at := range cut(4 * most) {
					if first[at] {
						again++
					}
				}
				require.Equal(t, len(first), again)
				require.Len(t, s.kept, kept)
			}
			cut(20)
			full := 0
			for _, values := range s.kept {
				for _, v := range values {
					if v != nil {
						full++
					}
				}
			}
			require.Equal(t, 20, full, "what was cut before the last time is let go")
		})
	}
}
