package clickhousestore

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// The head of a state: the mapping, of gamma 1.0202… and offset 0, and that positive values follow.
const sketchHead = "02fd4a815abf52f03f0000000000000000" + "01"

// noNegative says that there are no negative values, as the server writes it: no bins, the first at the largest index.
const noNegative = "03" + "0c00feffffff0f02"

func state(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return raw
}

func TestReadSketch(t *testing.T) {
	for name, test := range map[string]struct {
		state string
		want  rollup.Bins
	}{
		// hex(quantilesDDState(0.01, 0.5, 0.9)(x)) of 0, 0, 1, 100, 1,000,000 and the largest Int64: bins 0, 230, 690 and 2,183.
		"sparse": {
			sketchHead + "0404 00 000000000000f03f cc03 000000000000f03f 9807 000000000000f03f aa17 000000000000f03f" + noNegative + "04 0000000000000040",
			rollup.Bins{Zeros: 2, Indexes: []uint32{0, 230, 690, 2183}, Counts: []uint64{1, 1, 1, 1}},
		},
		// Bins 5, 6 and 7 with 3, none and 1: 5 is 0a as a varint, the distance 1 is 02.
		"contiguous": {
			sketchHead + "0c03 0a 02 0000000000000840 0000000000000000 000000000000f03f" + noNegative + "04 0000000000000000",
			rollup.Bins{Indexes: []uint32{5, 7}, Counts: []uint64{3, 1}},
		},
		"empty": {sketchHead + "0c00feffffff0f02" + noNegative + "04 0000000000000000", rollup.Bins{}},
	} {
		got, err := readSketch(state(t, test.state))
		require.NoError(t, err, name)
		require.Equal(t, test.want, got, name)
	}
	for name, broken := range map[string]string{
		"nothing":           "",
		"another accuracy":  "02 0000000000000040 0000000000000000 01 0c00 00 02" + noNegative + "04 0000000000000000",
		"an unknown flag":   sketchHead + "0800" + noNegative + "04 0000000000000000",
		"cut":               sketchHead + "0404 00 000000000000f03f",
		"too many bins":     sketchHead + "04ffffffffff7f 00 000000000000f03f" + noNegative + "04 0000000000000000",
		"a negative count":  sketchHead + "0401 00 000000000000f0bf" + noNegative + "04 0000000000000000",
		"no number":         sketchHead + "0401 00 000000000000f87f" + noNegative + "04 0000000000000000",
		"bins out of order": sketchHead + "0402 0a 000000000000f03f 01 000000000000f03f" + noNegative + "04 0000000000000000",
		"negative values":   sketchHead + "0c00 00 02 03 0401 00 000000000000f03f 04 0000000000000000",
		"more":              sketchHead + "0c00feffffff0f02" + noNegative + "04 0000000000000000 00",
	} {
		_, err := readSketch(state(t, broken))
		require.ErrorIs(t, err, errSketch, name)
	}
}

func FuzzReadSketch(f *testing.F) {
	f.Add(state(f, sketchHead+"0404 00 000000000000f03f cc03 000000000000f03f 9807 000000000000f03f aa17 000000000000f03f"+noNegative+"04 0000000000000040"))
	f.Add(state(f, sketchHead+"0c03 0a 02 0000000000000840 0000000000000000 000000000000f03f"+noNegative+"04 0000000000000000"))
	f.Fuzz(func(t *testing.T, state []byte) {
		bins, err := readSketch(state)
		if err != nil {
			return
		}
		require.Len(t, bins.Counts, len(bins.Indexes))
		for i, n := range bins.Counts {
			require.NotZero(t, n)
			require.True(t, i == 0 || bins.Indexes[i] > bins.Indexes[i-1])
		}
	})
}
