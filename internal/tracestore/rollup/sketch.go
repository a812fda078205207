package rollup

import (
	"fmt"
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// relativeAccuracy of every sketch: a quantile is within 1 % of the true one.
const relativeAccuracy = 0.01

var (
	// indexes maps durations to the bins of every sketch.
	indexes = newMapping()
	// maxIndex is the bin of the longest duration there is.
	maxIndex = uint32(indexes.Index(math.MaxInt64))
)

func newMapping() *mapping.LogarithmicMapping {
	m, err := mapping.NewLogarithmicMapping(relativeAccuracy)
	if err != nil {
		panic(fmt.Sprintf("accuracy of sketches: %v", err)) // it is a constant
	}
	return m
}

// sketch is a DDSketch of durations in nanoseconds, kept as its bins. Most hold few of them, so that this is smaller than the
// library's stores, in memory and written down, and adds up in the order of the bins.
type sketch struct {
	zeros uint64 // durations of 0
	bins  []bin  // by index
}

type bin struct {
	index uint32
	count uint64
}

// noBin stands for the bin of a duration of 0, which has none.
const noBin = math.MaxUint32

// binOf is the bin of a duration that is not negative.
func binOf(duration int64) uint32 {
	if duration <= 0 {
		return noBin
	}
	return uint32(indexes.Index(float64(duration)))
}

// add counts a duration that is not negative.
func (s *sketch) add(duration int64) { s.count(binOf(duration)) }

// count counts a duration by its bin.
func (s *sketch) count(index uint32) {
	if index == noBin {
		s.zeros = sum(s.zeros, 1)
		return
	}
	// The last bin that is not above the index. slices.BinarySearchFunc takes three times as long, and this is done for each span.
	at := 0
	for n := len(s.bins); n > 1; {
		half := n / 2
		if s.bins[at+half].index <= index {
			at += half
		}
		n -= half
	}
	switch {
	case len(s.bins) == 0 || s.bins[at].index > index:
		s.bins = slices.Insert(s.bins, at, bin{index, 1})
	case s.bins[at].index == index:
		s.bins[at].count = sum(s.bins[at].count, 1)
	default:
		s.bins = slices.Insert(s.bins, at+1, bin{index, 1})
	}
}

// merge adds a sketch, which stays as it is. Minutes of one series have mostly the same bins.
func (s *sketch) merge(from *sketch) {
	s.zeros = sum(s.zeros, from.zeros)
	added := 0
	for i, j := len(s.bins)-1, len(from.bins)-1; j >= 0; {
		switch {
		case i >= 0 && s.bins[i].index > from.bins[j].index:
			i--
		case i >= 0 && s.bins[i].index == from.bins[j].index:
			s.bins[i].count = sum(s.bins[i].count, from.bins[j].count)
			i, j = i-1, j-1
		default:
			added, j = added+1, j-1
		}
	}
	if added == 0 {
		return
	}
	// From the back, so that what is there moves once.
	i, j := len(s.bins)-1, len(from.bins)-1
	s.bins = slices.Grow(s.bins, added)[:len(s.bins)+added]
	for to := len(s.bins) - 1; j >= 0; to-- {
		switch {
		case i >= 0 && s.bins[i].index >= from.bins[j].index:
			if s.bins[i].index == from.bins[j].index { // which was added
				j--
			}
			s.bins[to] = s.bins[i]
			i--
		default:
			s.bins[to] = from.bins[j]
			j--
		}
	}
}

// distribution is the sketch as answers have it, nil where there is nothing in it.
func (s *sketch) distribution() tracestore.Durations {
	if s.zeros == 0 && len(s.bins) == 0 {
		return nil
	}
	bins := store.DefaultProvider()
	for _, b := range s.bins {
		bins.AddWithCount(int(b.index), float64(b.count))
	}
	d := ddsketch.NewDDSketch(indexes, bins, store.DefaultProvider())
	if s.zeros > 0 {
		_ = d.AddWithCount(0, float64(s.zeros)) // fails for negative counts only
	}
	return d
}
