package pebblestore

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

var sampleRow = tracerow.Row{
	Summary: tracestore.Summary{
		TraceID: pcommon.TraceID{15: 7},
		Entry:   tracestore.Operation{Service: "shop", Operation: "GET /"},
		Start:   0x0102030405060708, Duration: 100, SpanCount: 2, ErrorCount: 1,
		Services: []string{"shop", "stock"}, Outcome: "complete", Version: 1, MissingParents: 3,
		Bottleneck: &tracestore.Bottleneck{SpanID: pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, Service: "stock", Operation: "SELECT", Share: 0.5},
	},
	Aliases: []string{"Stock"}, Kinds: 0x0c, Failed: true, Rooted: true, LongestSpan: 99,
}

// TestValueBytes holds the values of docs/storage-format.md to the byte.
func TestValueBytes(t *testing.T) {
	compact := func(s string) string { return strings.Join(strings.Fields(s), "") }
	block := blockValue{first: 1, last: 2, firstReleased: 3, lastReleased: 4, releases: 300, spans: 6, size: 7, through: 8, otlp: 900}
	require.Equal(t, compact("02 04 06 08 ac02 06 07 08 8407"), hex.EncodeToString(block.append(nil)))
	require.Empty(t, rank{version: 1}.append(nil))
	require.Equal(t, compact("ac02 03"), hex.EncodeToString(rank{300, 3, 0}.append(nil)))
	require.Equal(t, compact("01 00 05"), hex.EncodeToString(rank{1, 0, 5}.append(nil)))
	require.Equal(t, compact("0000000000000005"), hex.EncodeToString(appendSequence(nil, 5)))
	require.Equal(t, compact("ac02 7b7d"), hex.EncodeToString(appendSourceValue(nil, 300, []byte("{}"))))

	require.Equal(t, compact(`
		0d 0c 0102030405060708  c801 c601 04 02 06 02
		08 636f6d706c657465
		04 73686f70  05 474554202f
		02 04 73686f70 05 73746f636b
		01 05 53746f636b
		0102030405060708 3fe0000000000000 05 73746f636b 06 53454c454354`),
		hex.EncodeToString(appendRow(nil, &sampleRow)))
}

func TestRowRoundTrip(t *testing.T) {
	for name, row := range map[string]tracerow.Row{
		"full": sampleRow, "zero": {},
		"extremes": {
			Summary: tracestore.Summary{
				Start: math.MinInt64, Duration: math.MaxInt64, SpanCount: math.MaxInt64, Outcome: "\xff", Services: []string{"", ""},
				Version: -1,
			},
			Fine: true, Kinds: 0xff, LongestSpan: math.MinInt64,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeRow(row.TraceID, appendRow(nil, &row))
			require.NoError(t, err)
			require.Equal(t, row, got)
		})
	}
	value := appendRow(nil, &sampleRow)
	for n := range value {
		_, err := decodeRow(sampleRow.TraceID, value[:n])
		require.ErrorIs(t, err, errValue, "cut to %d bytes", n)
	}
	_, err := decodeRow(sampleRow.TraceID, append(value, 0))
	require.ErrorIs(t, err, errValue)
}

func FuzzRow(f *testing.F) {
	f.Add(appendRow(nil, &sampleRow))
	f.Add(appendRow(nil, &tracerow.Row{}))
	f.Fuzz(func(t *testing.T, value []byte) {
		row, err := decodeRow(pcommon.TraceID{}, value)
		if err != nil {
			return
		}
		again, err := decodeRow(pcommon.TraceID{}, appendRow(nil, &row))
		require.NoError(t, err)
		if row.Bottleneck == nil || row.Bottleneck.Share == row.Bottleneck.Share { // not NaN
			require.Equal(t, row, again)
		}
	})
}

func FuzzBlockValue(f *testing.F) {
	f.Add((&blockValue{first: 1, last: 2, firstReleased: 3, lastReleased: 4, releases: 5, spans: 6, size: 7, through: 8, otlp: 9}).append(nil))
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := decodeBlockValue(value)
		if err != nil {
			return
		}
		again, err := decodeBlockValue(v.append(nil))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

// FuzzSmallValues decodes any bytes as each of the values of a few bytes.
func FuzzSmallValues(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add(appendSequence(nil, 7))
	f.Add(rank{2, 3, 0}.append(nil))
	f.Add(rank{2, 3, 4}.append(nil))
	f.Add(appendSourceValue(nil, 300, []byte("{}")))
	f.Fuzz(func(t *testing.T, value []byte) {
		if r, err := decodeRank(value); err == nil {
			again, err := decodeRank(r.append(nil))
			require.NoError(t, err)
			require.Equal(t, r, again)
		}
		if sequence, err := decodeSequenceValue(value); err == nil {
			require.Equal(t, value, appendSequence(nil, sequence))
		}
		if m, err := decodeMarkValue(value); err == nil {
			require.Equal(t, []byte{byte(m)}, value)
		}
		_, _ = decodeTime(value)
		if version, rest, err := decodeSourceValue(value); err == nil {
			again, restAgain, err := decodeSourceValue(appendSourceValue(nil, version, rest))
			require.NoError(t, err)
			require.Equal(t, version, again)
			require.Equal(t, rest, restAgain)
		}
	})
}

// TestBlockTimes: a retention moves the bounds of a block's search times as it moves those of its releases.
func TestBlockTimes(t *testing.T) {
	const retention = 100
	var v blockValue
	var first, last int64
	for i, release := range []struct{ start, released int64 }{{start: 5, released: 1000}, {950, 960}, {2000, 900}} {
		v.add(tracestore.SearchTime(release.start, release.released, 0), release.released, 1, 1)
		at := tracestore.SearchTime(release.start, release.released, retention)
		if i == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
	}
	gotFirst, gotLast := v.times(retention)
	require.LessOrEqual(t, gotFirst, first)
	require.GreaterOrEqual(t, gotLast, last)
	require.EqualValues(t, 3, v.releases)
}
