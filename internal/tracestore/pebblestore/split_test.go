package pebblestore

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// FuzzSplit cuts random calls on the wire and, slowly, in pdata: both must yield the same bytes.
func FuzzSplit(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(40))
	f.Add(uint64(2), uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, traces, spans uint8) {
		td := randomCall(rand.New(rand.NewPCG(seed, 0)), int(traces)%8+1, int(spans))
		wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		releases := tracetree.Releases(td)
		cut, err := split(td, wire, releases)
		require.NoError(t, err)
		for i := range releases {
			want, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(only(td, releases[i].Tenant, releases[i].TraceID))
			require.NoError(t, err)
			require.Equal(t, want, cut.appendRelease(nil, i))
		}
	})
}

// FuzzSplitForeign cuts bytes that are not the call: an error, no crash.
func FuzzSplitForeign(f *testing.F) {
	td := randomCall(rand.New(rand.NewPCG(1, 0)), 2, 6)
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(f, err)
	f.Add(wire)
	f.Add(wire[:len(wire)/2])
	f.Fuzz(func(_ *testing.T, wire []byte) {
		releases := tracetree.Releases(td)
		if cut, err := split(td, wire, releases); err == nil {
			for i := range releases {
				cut.appendRelease(nil, i)
			}
		}
	})
}

func randomCall(r *rand.Rand, traces, spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	for range 1 + r.IntN(3) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl([]string{"", "schema"}[r.IntN(2)])
		if r.IntN(2) == 0 {
			rs.Resource().Attributes().PutStr(conventions.AttrTenant, []string{"a", "b"}[r.IntN(2)])
		}
		for range r.IntN(3) {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName([]string{"", "scope"}[r.IntN(2)])
			ss.SetSchemaUrl([]string{"", "scope schema"}[r.IntN(2)])
			for range r.IntN(spans + 1) {
				span := ss.Spans().AppendEmpty()
				span.SetTraceID(pcommon.TraceID{15: byte(r.IntN(traces))}) // 0 included
				span.Attributes().PutEmptyBytes("filler").FromRaw(make([]byte, r.IntN(300)))
			}
		}
	}
	return td
}

// only copies the spans of one trace.
func only(td ptrace.Traces, tenant string, id pcommon.TraceID) ptrace.Traces {
	c := ptrace.NewTraces()
	td.CopyTo(c)
	c.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		if v, ok := rs.Resource().Attributes().Get(conventions.AttrTenant); ok != (tenant != "") || ok && v.Str() != tenant {
			return true
		}
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool { return span.TraceID() != id })
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return c
}
