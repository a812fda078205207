package rollup

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// minuteSums are those of a minute of a quiet system.
func minuteSums(series int) *Sums {
	rng := rand.New(rand.NewPCG(1, 2))
	s := NewSums(MaxSeries)
	for n := range series {
		r := s.at(Operations, &key{0, s.strings.id("shop"), 0, s.strings.id(fmt.Sprint("GET /", n)), s.strings.id("server")})
		r.numbers = [maxNumbers]uint64{20, 1, rng.Uint64N(1e9), rng.Uint64N(1e9), 2}
		for range 20 {
			r.durations.add(1e6 + rng.Int64N(1e6))
		}
	}
	return s
}

// TestPacked: a packed value is another way to write the same, and smaller.
func TestPacked(t *testing.T) {
	for range 5 { // in any order, so that what is unpacked is longer or shorter than before
		testPacked(t)
	}
}

func testPacked(t *testing.T) {
	for name, sums := range map[string]*Sums{"sample": sample(), "empty": NewSums(1), "minute": minuteSums(100), "short": minuteSums(30)} {
		plain := sums.Append(nil, AllTables)
		packed := sums.AppendPacked([]byte("before"), AllTables)[len("before"):]
		again := NewSums(MaxSeries)
		if name == "sample" {
			again = NewSums(1)
		}
		require.NoError(t, again.Merge(packed, AllTables))
		require.Equal(t, plain, again.Append(nil, AllTables))
		require.LessOrEqual(t, len(packed), len(plain))
		if name == "minute" {
			require.EqualValues(t, packedVersion, packed[0])
			require.Less(t, len(packed), len(plain)*3/4)
			answer := NewAnswer(Operations, &tracestore.AggregateQuery{Service: "shop"})
			require.NoError(t, answer.Merge(packed))
			require.Len(t, answer.sums.tables[Operations].keys, 100)
		}
	}
}

// TestBrokenPackedValues: a packed value that is cut off or changed is an error that changes nothing, or another valid value.
func TestBrokenPackedValues(t *testing.T) {
	packed := minuteSums(100).AppendPacked(nil, AllTables)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		broken := append([]byte{}, packed[:rng.IntN(len(packed))]...)
		if len(broken) > 1 && rng.IntN(2) == 0 {
			broken = append([]byte{}, packed...)
			broken[1+rng.IntN(len(broken)-1)] ^= 1 << rng.IntN(8)
		}
		sums := NewSums(MaxSeries)
		if err := sums.Merge(broken, AllTables); err != nil {
			require.ErrorIs(t, err, ErrValue)
			require.Zero(t, sums.Tables())
		}
	}
	// Nobody makes a reader take memory, nor packs a packed value.
	huge := append(binary.AppendUvarint([]byte{packedVersion}, 1<<40), packed[3:]...)
	require.ErrorIs(t, NewSums(1).Merge(huge, AllTables), ErrValue)
	huge = append(binary.AppendUvarint([]byte{packedVersion}, 1<<63), packed[3:]...)
	require.ErrorIs(t, NewSums(1).Merge(huge, AllTables), ErrValue)
	require.ErrorIs(t, NewSums(1).Merge([]byte{packedVersion}, AllTables), ErrValue)
}
