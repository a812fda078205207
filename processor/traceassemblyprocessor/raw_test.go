package traceassemblyprocessor

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
	"github.com/tracewright/tracewright/internal/rawspans"
)

// asItCame is the placeholder of a request.
func asItCame(t *testing.T, request string) ptrace.Traces {
	td, err := unmarshaler.UnmarshalTraces(rawspans.Replace([]byte(request)))
	require.NoError(t, err)
	return td
}

// full is a request of two services with all that spans can have; some of it looks like annotations.
func full() ptrace.Traces {
	td := request(
		testSpan{trace: 1, id: 1, service: "a", kind: ptrace.SpanKindServer, start: 5, end: 9, failed: true},
		testSpan{trace: 1, id: 2, parent: 1, service: "a", kind: ptrace.SpanKindClient, attributes: "db.system.name=postgresql db.namespace=orders"},
		testSpan{trace: 1, id: 3, parent: 1, service: "b", attributes: "tracewright.entry.service=forged"},
	)
	for i, rs := range td.ResourceSpans().All() {
		rs.SetSchemaUrl("https://example.com/1.40.0")
		rs.Resource().Attributes().PutStr("tracewright.tenant", "forged")
		rs.Resource().SetDroppedAttributesCount(uint32(i))
		ss := rs.ScopeSpans().At(0)
		ss.SetSchemaUrl("https://example.com/1.30.0")
		ss.Scope().Attributes().PutInt("n", 3)
		span := ss.Spans().At(0)
		span.TraceState().FromRaw("ot=th:8")
		span.SetFlags(0x101)
		span.Status().SetMessage("no")
		event := span.Events().AppendEmpty()
		event.SetName("exception")
		event.Attributes().PutStr("tracewright.bottleneck", "forged")
		event.Attributes().PutStr("exception.type", "IOError")
		span.Links().AppendEmpty().SetTraceID(traceID(9))
		list := span.Attributes().PutEmptySlice("list")
		list.AppendEmpty().SetEmptyMap().PutBool("in", true)
		list.AppendEmpty()
	}
	return td
}

// TestRequestsAsTheyCame sends a request decoded and as it came, and in an order of fields that nobody writes: it makes no difference.
func TestRequestsAsTheyCame(t *testing.T) {
	sent, err := encodeTraces(full())
	require.NoError(t, err)
	unknown := sent + "\xfa\x7f\x03abc" // a field of a later version
	require.ErrorIs(t, new(otlpwire.Scanner).Scan(unknown, &oneMessage{}), otlpwire.ErrIrregular)
	irregular, err := unmarshaler.UnmarshalTraces([]byte(unknown))
	require.NoError(t, err)
	for name, td := range map[string]ptrace.Traces{"decoded": full(), "as it came": asItCame(t, sent), "irregular": irregular} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				f := start(t, func(c *Config) {
					withJournal(c)
					c.Journal.Get().Directory = directory
				})
				synctest.Wait() // until the journal is read
				require.NoError(t, f.ConsumeTraces(t.Context(), td))
				f.wait(20 * time.Second)
				require.Len(t, f.sink.calls, 1)
				got := f.sink.calls[0]
				want := full()
				for i, rs := range want.ResourceSpans().All() {
					removeAnnotations(rs.Resource().Attributes())
					at, ok := got.ResourceSpans().At(i).Resource().Attributes().Get(conventions.AttrReleasedAt)
					require.True(t, ok)
					rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, at.Int())
					for _, span := range rs.ScopeSpans().At(0).Spans().All() {
						removeAllAnnotations(span)
					}
				}
				root := want.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
				root.PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
				root.PutInt(conventions.AttrVersion, 1)
				require.Equal(t, encoded(t, want), encoded(t, got))
				f.stop()
			})
		})
	}
}

func encoded(t *testing.T, td ptrace.Traces) string {
	data, err := encodeTraces(td)
	require.NoError(t, err)
	return data
}

// TestBrokenRequests answers what is no request, or no longer the one that came, with an error for good.
func TestBrokenRequests(t *testing.T) {
	valid, err := encodeTraces(request(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 1}))
	require.NoError(t, err)
	half := asItCame(t, valid)
	first := true
	half.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool {
		defer func() { first = false }()
		return first
	})
	shortID := string(otlpwire.Request("", "", "\x0a\x03abc"))
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		err := f.ConsumeTraces(t.Context(), asItCame(t, shortID))
		require.True(t, consumererror.IsPermanent(err))
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
		err = f.ConsumeTraces(t.Context(), half)
		require.True(t, consumererror.IsPermanent(err))
		require.ErrorContains(t, err, "trace_assembly must stand first")
		require.Equal(t, map[string]int64{"malformed": 2}, f.points("requests_refused"))
		require.Zero(t, f.budget.held.Load())
		f.stop()
	})
}

// TestDenseRequests sends more spans than can have ids in so many bytes: they are rejected one by one, but where they would have to be decoded.
func TestDenseRequests(t *testing.T) {
	const spans = 10_000
	for name, test := range map[string]struct {
		last string // span
		code codes.Code
	}{
		"regular":   {"", codes.OK},
		"irregular": {"\xfa\x7f\x03abc", codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			list := otlpwire.AppendSpan(bytes.Repeat(otlpwire.AppendSpan(nil, ""), spans-1), test.last)
			dense := append(otlpwire.BeginScopeSpans(nil, len(list)), list...)
			td := asItCame(t, string(append(otlpwire.BeginResourceSpans(nil, len(dense)), dense...)))
			require.Less(t, td.SpanCount(), spans/5)
			synctest.Test(t, func(t *testing.T) {
				f := start(t, nil)
				defer f.stop()
				err := f.ConsumeTraces(t.Context(), td)
				require.Equal(t, test.code, status.Code(err), "%v", err)
				if test.code == codes.OK {
					require.Equal(t, map[string]int64{"zero_trace_id": spans}, f.points("spans_rejected"))
					return
				}
				require.True(t, consumererror.IsPermanent(err))
				require.Equal(t, map[string]int64{"malformed": 1}, f.points("requests_refused"))
			})
		})
	}
}

// TestBrokenBehindGood sends requests that begin well and end broken between others: nothing of them reaches another sender's traces.
func TestBrokenBehindGood(t *testing.T) {
	valid, err := encodeTraces(request(testSpan{trace: 1, id: 1}))
	require.NoError(t, err)
	broken := valid + string(otlpwire.Request("", "", "\x0a\x03abc")) // a trace id of three bytes
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.NumShards = 2 })
		const requests, spans = 200, 20
		for i := range uint64(requests) {
			err := f.ConsumeTraces(t.Context(), asItCame(t, broken))
			require.True(t, consumererror.IsPermanent(err), "%v", err)
			var good []testSpan
			for j := range uint64(spans) {
				good = append(good, testSpan{trace: 1000 + i*spans + j, id: 1})
			}
			require.NoError(t, f.ConsumeTraces(t.Context(), request(good...)))
		}
		f.stop()
		traces := map[pcommon.TraceID]int{}
		for _, release := range f.sink.releases {
			traces[release.TraceID]++
		}
		require.Len(t, traces, requests*spans)
		require.Len(t, f.sink.releases, requests*spans)
	})
}

// TestKeptBytes holds one span of a request whose others go at once: it does not hold the request.
func TestKeptBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.NumShards = 1 })
		spans := []testSpan{{trace: 1, id: 1, parent: 9}}
		for i := range uint64(1000) {
			spans = append(spans, testSpan{trace: 2 + i, id: 1, padding: 1000})
		}
		f.send(spans...)
		f.wait(2 * time.Second)
		require.Len(t, f.sink.releases, 1000)
		f.look(func(s *shard) {
			held := s.traces[traceKey{id: traceID(1)}]
			require.Len(t, held.runs, 1)
			require.Len(t, held.runs[0], int(held.spans[0].bytes.size))
		})
		f.stop()
	})
}

// TestPatchInPlace writes an attribute that a trusted span has already.
func TestPatchInPlace(t *testing.T) {
	span := ptrace.NewSpan()
	require.NoError(t, span.Attributes().FromRaw(map[string]any{"a": "old"}))
	var p patches
	p.putStr("b", "first")
	p.putStr("a", "new")
	p.putInt("n", 1)
	p.putBool("b", true)
	p.put(patch{key: "list", kind: pcommon.ValueTypeSlice, list: []patch{{kind: pcommon.ValueTypeStr, str: "x"}, {kind: pcommon.ValueTypeInt, num: 2}}})
	p.apply(span)
	require.Equal(t, map[string]any{"a": "new", "b": true, "n": int64(1), "list": []any{"x", int64(2)}}, span.Attributes().AsRaw())
}
