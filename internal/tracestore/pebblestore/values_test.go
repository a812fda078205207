package pebblestore

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

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
	trace := traceValue{searchTime: 1, releasedAt: 2, releases: 300, spans: 4, first: releaseRef{version: 5, part: 6, sequence: 7}}
	require.Equal(t, compact("0000000000000001 0000000000000002 ac02 04 05 06 07"), hex.EncodeToString(trace.append(nil)))

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

func FuzzTraceValue(f *testing.F) {
	f.Add((&traceValue{searchTime: 1, releasedAt: 2, releases: 3, spans: 4, first: releaseRef{5, 6, 7}}).append(nil))
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := decodeTraceValue(value)
		if err != nil {
			return
		}
		again, err := decodeTraceValue(v.append(nil))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

func FuzzSpansValue(f *testing.F) {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("span")
	otlp, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(f, err)
	f.Add(appendSpans(nil, otlp))
	f.Add([]byte{codecOTLPZstd})
	f.Fuzz(func(t *testing.T, value []byte) {
		if _, err := decodeSpans(value); err != nil {
			require.ErrorIs(t, err, errCorrupt)
		}
	})
}

// TestSpansHeader: every changed byte of a value is noticed.
func TestSpansHeader(t *testing.T) {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("span")
	otlp, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	value := appendSpans([]byte("before"), otlp)[len("before"):]
	require.Equal(t, byte(codecOTLPZstd), value[0])
	got, err := decodeSpans(value)
	require.NoError(t, err)
	require.Equal(t, td, got)
	for i := range value {
		broken := append([]byte{}, value...)
		broken[i] ^= 1
		_, err := decodeSpans(broken)
		require.ErrorIs(t, err, errCorrupt, "byte %d", i)
	}
}
