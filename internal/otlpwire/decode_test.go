package otlpwire

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// decoder is one that cuts spans from slabs, used again and again.
var decoder = Decoder{Spare: 2}

// keeping is one that is used again and again, and decodes into the same memory.
var keeping = NewKeeping()

// checkDecoded holds what Decoders make of a span against what pdata made of it, also when both are changed.
func checkDecoded(t *testing.T, span ptrace.Span, raw string) {
	checkDecodedBy(t, &decoder, span, raw)
	checkDecodedBy(t, keeping, span, raw)
	keeping.Rewind()
}

func checkDecodedBy(t *testing.T, decoder *Decoder, span ptrace.Span, raw string) {
	got, want := ptrace.NewTraces(), ptrace.NewTraces()
	spans := got.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	require.NoError(t, decoder.Decode([]string{raw, raw, raw}, spans))
	first := want.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.CopyTo(first)
	change(first)
	for range 2 {
		span.CopyTo(want.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
	}
	change(spans.At(0))
	require.Equal(t, marshal(t, want), marshal(t, got))
}

// change changes a span in ways that reach beyond what it has.
func change(span ptrace.Span) {
	span.SetName("changed")
	for key, v := range span.Attributes().All() {
		if v.Type() == pcommon.ValueTypeStr {
			v.SetStr("changed " + key)
		}
	}
	for i := range 5 {
		span.Attributes().PutInt(fmt.Sprint("added ", i), int64(i))
	}
	span.Events().AppendEmpty().Attributes().PutStr("added", "too")
	span.Links().AppendEmpty()
}

func TestDecodeByPdata(t *testing.T) {
	before := known
	t.Cleanup(func() { known = before })
	known = false
	check(t, marshal(t, everything()))
}

// TestDecodeInAnyOrder fills two lists in turns, from behind.
func TestDecodeInAnyOrder(t *testing.T) {
	before := known
	t.Cleanup(func() { known = before })
	for _, known = range []bool{before, false} {
		request := marshal(t, everything())
		c := &collector{request: request}
		require.NoError(t, new(Scanner).Scan(request, c))
		var raw []string
		for _, s := range c.spans {
			raw = append(raw, request[s.At:s.End])
		}
		require.Greater(t, len(raw), 1)
		want, lists := ptrace.NewSpanSlice(), [2]ptrace.SpanSlice{ptrace.NewSpanSlice(), ptrace.NewSpanSlice()}
		require.NoError(t, new(Decoder).Decode(raw, want))
		var d Decoder
		for _, list := range lists {
			Make(len(raw), list)
		}
		for i := len(raw) - 1; i >= 0; i-- {
			for _, list := range lists {
				require.NoError(t, d.DecodeAt(raw[i], list, i))
			}
		}
		for _, list := range lists {
			require.Equal(t, want.Len(), list.Len())
			for i := range list.Len() {
				require.True(t, want.At(i).TraceID() == list.At(i).TraceID() && want.At(i).SpanID() == list.At(i).SpanID())
				require.True(t, want.At(i).Attributes().Equal(list.At(i).Attributes()))
			}
		}
	}
}

// TestDecodeManySpans crosses the ends of slabs, and looks at all spans after the last one is decoded.
func TestDecodeManySpans(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	var raw []string
	for n := range 20_000 {
		span := spans.AppendEmpty()
		fillSpan(span, byte(n))
		if n%2 == 0 { // nothing that pdata decodes
			span.Attributes().RemoveIf(func(_ string, v pcommon.Value) bool { return v.Type() > pcommon.ValueTypeBool })
			span.Links().RemoveIf(func(ptrace.SpanLink) bool { return true })
			span.Events().RemoveIf(func(ptrace.SpanEvent) bool { return true })
		}
		for i := range n % 50 {
			span.Attributes().PutStr(fmt.Sprint("key ", i), fmt.Sprint("value ", n))
		}
	}
	request := marshal(t, td)
	c := &collector{request: request}
	require.NoError(t, new(Scanner).Scan(request, c))
	for _, s := range c.spans {
		raw = append(raw, request[s.At:s.End])
	}
	got := ptrace.NewTraces()
	require.NoError(t, decoder.Decode(raw, got.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()))
	if request != marshal(t, got) {
		t.Fatal("decoded and encoded again it is another request") // both are too long to be printed
	}
}

// TestHolds: whoever takes a span away, or adds one, is seen.
func TestHolds(t *testing.T) {
	request := marshal(t, everything())
	c := &collector{request: request}
	require.NoError(t, new(Scanner).Scan(request, c))
	var raw []string
	for _, s := range c.spans {
		raw = append(raw, request[s.At:s.End])
	}
	d, elsewhere := NewKeeping(), ptrace.NewTraces()
	for name, test := range map[string]struct {
		change func(td ptrace.Traces)
		holds  bool
	}{
		"unchanged": {func(ptrace.Traces) {}, true},
		"spans changed": {func(td ptrace.Traces) {
			for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				change(span)
			}
		}, true},
		"another order": {func(td ptrace.Traces) {
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().Sort(func(a, b ptrace.Span) bool { return a.SpanID().String() > b.SpanID().String() })
		}, true},
		"in other resources": {func(td ptrace.Traces) {
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().MoveAndAppendTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans())
		}, true},
		"one added": {func(td ptrace.Traces) { td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty() }, false},
		"one removed": {func(td ptrace.Traces) {
			first := true
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool { defer func() { first = false }(); return first })
		}, false},
		"one moved and another in its place": {func(td ptrace.Traces) {
			spans, first := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans(), true
			spans.RemoveIf(func(span ptrace.Span) bool {
				defer func() { first = false }()
				if first {
					span.MoveTo(elsewhere.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
				}
				return first
			})
			spans.AppendEmpty()
		}, false},
		"all moved": {func(td ptrace.Traces) { td.ResourceSpans().MoveAndAppendTo(elsewhere.ResourceSpans()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d.Rewind()
			td := ptrace.NewTraces()
			require.NoError(t, d.Decode(raw, td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()))
			test.change(td)
			require.Equal(t, test.holds, d.Holds(td))
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for n := range 1000 {
		span := spans.AppendEmpty()
		fillSpan(span, byte(n))
		span.Attributes().RemoveIf(func(_ string, v pcommon.Value) bool { return v.Type() > pcommon.ValueTypeBool })
		span.Links().RemoveIf(func(ptrace.SpanLink) bool { return true })
		span.Events().RemoveIf(func(ptrace.SpanEvent) bool { return true })
		for i := range 8 {
			span.Attributes().PutStr(fmt.Sprint("some.attribute.", i), fmt.Sprint("value ", i*n))
		}
	}
	request := marshal(b, td)
	c := &collector{request: request}
	require.NoError(b, new(Scanner).Scan(request, c))
	var raw []string
	for _, s := range c.spans {
		raw = append(raw, request[s.At:s.End])
	}
	report := func(b *testing.B, n int) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*len(raw)), "ns/span")
	}
	b.Run("slabs", func(b *testing.B) {
		b.ReportAllocs()
		decoder := Decoder{Spare: 8}
		for b.Loop() {
			require.NoError(b, decoder.Decode(raw, ptrace.NewSpanSlice()))
		}
		report(b, b.N)
	})
	b.Run("the same slabs", func(b *testing.B) {
		b.ReportAllocs()
		decoder := NewKeeping()
		decoder.Spare = 8
		for b.Loop() {
			require.NoError(b, decoder.Decode(raw, ptrace.NewSpanSlice()))
			decoder.Rewind()
		}
		report(b, b.N)
	})
	b.Run("pdata", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := unmarshal([]byte(request))
			require.NoError(b, err)
		}
		report(b, b.N)
	})
}
