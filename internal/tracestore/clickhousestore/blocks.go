package clickhousestore

import (
	"cmp"
	"slices"
)

// blockRange is the numbers of blocks from first to last. An insert makes a block, whose number is larger than those before it, in its partition; a
// part of a table holds a range of them, some of whose numbers may never have been blocks.
type blockRange struct{ first, last int64 }

// blockSet is a set of numbers: ranges in order, which do not touch.
type blockSet []blockRange

// add puts ranges, which may overlap, into the set.
func (s *blockSet) add(ranges ...blockRange) {
	all := append(slices.Clone(*s), ranges...)
	slices.SortFunc(all, func(a, b blockRange) int { return cmp.Compare(a.first, b.first) })
	joined := all[:0]
	for _, r := range all {
		if n := len(joined); n > 0 && r.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, r.last)
		} else {
			joined = append(joined, r)
		}
	}
	*s = joined
}

// without is what of the set is not in the other.
func (s blockSet) without(other blockSet) (rest blockSet) {
	for _, r := range s {
		for _, o := range other {
			if o.last < r.first {
				continue
			}
			if o.first > r.last {
				break
			}
			if o.first > r.first {
				rest = append(rest, blockRange{r.first, o.first - 1})
			}
			r.first = o.last + 1
		}
		if r.first <= r.last {
			rest = append(rest, r)
		}
	}
	return rest
}
