package wire

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var (
	traceA = [16]byte{0xa1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	traceB = [16]byte{0xb1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17}
)

// twoSpans is a request with two spans in two scopes that use every kind of field.
func twoSpans() *Payload {
	resource := new(Resource)
	resource.Text("service.name", "cart")
	resource.Int("process.pid", 300)
	batch := NewBatch(resource, "https://example/schema")
	span := new(Span)
	span.Begin(&Header{TraceID: traceA, SpanID: 0x11, Name: "root", Kind: 2, Start: -5, End: 10, Flags: 0x301})
	span.Text("text", "ä")
	span.Int("int", -7)
	span.Double("double", 1.5)
	span.Bool("bool", true)
	span.TextList("list", "one")
	span.Event("exception", 7, func() {
		span.Text("exception.type", "E")
		span.Int("n", 1<<40)
	})
	span.Link(traceB, 0x99)
	span.Fail("broken")
	batch.Add(Scope{"http", "1"}, span)
	span.Begin(&Header{TraceID: traceA, SpanID: 0x12, ParentID: 0x11, Name: "child", Kind: 3, Start: 1, End: 2})
	span.Fail("")
	batch.Add(Scope{"db", "2"}, span)
	return batch.Payload()
}

func decode(t *testing.T, p *Payload) ptrace.Traces {
	t.Helper()
	traces, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(p.Bytes())
	require.NoError(t, err)
	return traces
}

func idOf(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

func TestPayload(t *testing.T) {
	p := twoSpans()
	p.Move(Mask{}, 1000)
	require.Equal(t, 2, p.Spans)

	want := ptrace.NewTraces()
	rs := want.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("https://example/schema")
	rs.Resource().Attributes().PutStr("service.name", "cart")
	rs.Resource().Attributes().PutInt("process.pid", 300)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("http")
	ss.Scope().SetVersion("1")
	root := ss.Spans().AppendEmpty()
	root.SetTraceID(traceA)
	root.SetSpanID(idOf(0x11))
	root.SetName("root")
	root.SetKind(ptrace.SpanKindServer)
	root.SetStartTimestamp(995)
	root.SetEndTimestamp(1010)
	root.SetFlags(0x301)
	root.Attributes().PutStr("text", "ä")
	root.Attributes().PutInt("int", -7)
	root.Attributes().PutDouble("double", 1.5)
	root.Attributes().PutBool("bool", true)
	root.Attributes().PutEmptySlice("list").AppendEmpty().SetStr("one")
	event := root.Events().AppendEmpty()
	event.SetName("exception")
	event.SetTimestamp(1007)
	event.Attributes().PutStr("exception.type", "E")
	event.Attributes().PutInt("n", 1<<40)
	link := root.Links().AppendEmpty()
	link.SetTraceID(traceB)
	link.SetSpanID(idOf(0x99))
	link.SetFlags(1)
	root.Status().SetCode(ptrace.StatusCodeError)
	root.Status().SetMessage("broken")
	ss = rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("db")
	ss.Scope().SetVersion("2")
	child := ss.Spans().AppendEmpty()
	child.SetTraceID(traceA)
	child.SetSpanID(idOf(0x12))
	child.SetParentSpanID(idOf(0x11))
	child.SetName("child")
	child.SetKind(ptrace.SpanKindClient)
	child.SetStartTimestamp(1001)
	child.SetEndTimestamp(1002)
	child.Status().SetCode(ptrace.StatusCodeError)
	require.Equal(t, want, decode(t, p))
}

// Moving changes every id and time and nothing else; ids and references stay one, and moving back restores the bytes.
func TestMove(t *testing.T) {
	p := twoSpans()
	original := string(p.Bytes())
	mask := Mask{Trace: [2]uint64{0xff, 0xff00}, Span: 0xf0}
	for _, origin := range []int64{1_700_000_000_000_000_000, 1_700_000_000_000_000_777} { // from origin 0, then from another
		p.Move(mask, origin)
		traces := decode(t, p)
		first := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		second := traces.ResourceSpans().At(0).ScopeSpans().At(1).Spans().At(0)
		require.Equal(t, pcommon.TraceID(mask.TraceID(traceA)), first.TraceID())
		require.Equal(t, pcommon.TraceID{0xa1, 2, 3, 4, 5, 6, 7, 8 ^ 0xff, 9, 10, 11, 12, 13, 14, 15 ^ 0xff, 16}, second.TraceID())
		require.Equal(t, idOf(0x11^0xf0), first.SpanID())
		require.Equal(t, first.SpanID(), second.ParentSpanID())
		require.Equal(t, pcommon.TraceID(mask.TraceID(traceB)), first.Links().At(0).TraceID())
		require.Equal(t, idOf(0x99^0xf0), first.Links().At(0).SpanID())
		require.Equal(t, origin-5, int64(first.StartTimestamp()))
		require.Equal(t, origin+7, int64(first.Events().At(0).Timestamp()))
		require.Equal(t, origin+2, int64(second.EndTimestamp()))
	}
	p.Move(Mask{}, 0)
	require.Equal(t, original, string(p.Bytes()))
}
