package otlpwire

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// everything is a request with all that a span can have.
func everything() ptrace.Traces {
	td := ptrace.NewTraces()
	for _, service := range []string{"shop", ""} {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("https://example.com/" + service)
		if service != "" {
			rs.Resource().Attributes().PutStr("service.name", service)
			rs.Resource().SetDroppedAttributesCount(3)
		}
		for n := range 3 {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(strings.Repeat("scope", 50*n))
			ss.Scope().SetVersion("1")
			ss.Scope().Attributes().PutBool("on", true)
			for i := range n {
				fillSpan(ss.Spans().AppendEmpty(), byte(1+i))
			}
		}
	}
	return td
}

func fillSpan(s ptrace.Span, n byte) {
	s.SetTraceID(pcommon.TraceID{1, 2, n})
	s.SetSpanID(pcommon.SpanID{3, n})
	s.SetParentSpanID(pcommon.SpanID{4, n})
	s.TraceState().FromRaw("ot=th:8")
	s.SetName("GET /carts/{id}")
	s.SetKind(ptrace.SpanKindServer)
	s.SetStartTimestamp(1_700_000_000_000_000_000)
	s.SetEndTimestamp(1_700_000_001_000_000_000)
	s.SetFlags(0x101)
	s.SetDroppedAttributesCount(1 << 20)
	s.SetDroppedEventsCount(2)
	s.SetDroppedLinksCount(3)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("failed")
	fillAttributes(s.Attributes())
	e := s.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(5)
	e.SetDroppedAttributesCount(4)
	fillAttributes(e.Attributes())
	l := s.Links().AppendEmpty()
	l.SetTraceID(pcommon.TraceID{9})
	l.SetSpanID(pcommon.SpanID{9})
	l.SetFlags(1)
	l.TraceState().FromRaw("a=b")
	l.SetDroppedAttributesCount(4)
	fillAttributes(l.Attributes())
}

func fillAttributes(attrs pcommon.Map) {
	attrs.PutStr("text", strings.Repeat("long", 60))
	attrs.PutStr("", "")
	attrs.PutInt("int", -1)
	attrs.PutDouble("double", 1.5)
	attrs.PutBool("bool", true)
	attrs.PutEmpty("empty")
	attrs.PutEmptyBytes("bytes").FromRaw([]byte{0xff, 0})
	list := attrs.PutEmptySlice("list")
	list.AppendEmpty().SetStr("a")
	list.AppendEmpty()
	m := list.AppendEmpty().SetEmptyMap()
	m.PutEmpty("nothing")
	m.PutEmptySlice("none")
	m.PutEmptyMap("inner").PutInt("n", 1)
	list.AppendEmpty().SetInt(2)
	attrs.PutEmptyMap("map")
}

func marshal(t testing.TB, td ptrace.Traces) string {
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	require.NoError(t, err)
	return string(b)
}

func unmarshal(b []byte) (ptrace.Traces, error) {
	var u ptrace.ProtoUnmarshaler
	return u.UnmarshalTraces(b)
}

// collector keeps what it visits, spans one by one as requests.
type collector struct {
	request         string
	resource, scope string
	schema          [2]string
	spans           []Span
	single          [][]byte
	schemas         [][2]string
	shapes          []Shape
	scanner         Scanner
	irregular       bool
}

func (c *collector) Resource(resource, schemaURL string) (bool, error) {
	c.resource, c.schema[0] = resource, schemaURL
	shape, ok := c.scanner.Resource(resource)
	c.shapes, c.irregular = append(c.shapes, shape), c.irregular || !ok
	return true, nil
}

func (c *collector) Scope(scope, schemaURL string) (bool, error) {
	c.scope, c.schema[1] = scope, schemaURL
	shape, ok := c.scanner.Scope(scope)
	c.shapes, c.irregular = append(c.shapes, shape), c.irregular || !ok
	return true, nil
}

func (c *collector) Span(s *Span) error {
	c.spans = append(c.spans, *s)
	c.single = append(c.single, Request(c.resource, c.scope, c.request[s.At:s.End]))
	c.schemas = append(c.schemas, c.schema)
	return nil
}

func (c *collector) Skipped(int) {}

const prefix = "tracewright."

// tracesDecoder is used again and again.
var tracesDecoder TracesDecoder

// check holds what Scan says of a request against what pdata decodes it to.
func check(t *testing.T, request string) {
	c := &collector{request: request}
	s := Scanner{Prefix: prefix}
	err := s.Scan(request, c)
	td, decodeErr := unmarshal([]byte(request))
	if err != nil || c.irregular {
		if decodeErr == nil && !deep(td) { // encoded again it is regular
			again := &collector{}
			again.request = marshal(t, td)
			require.NoError(t, s.Scan(again.request, again))
			require.False(t, again.irregular)
			require.Len(t, again.spans, td.SpanCount())
		}
		_, err := tracesDecoder.Decode(request)
		require.Equal(t, decodeErr, err)
		return
	}
	for _, shape := range c.shapes {
		if shape.Deep {
			return
		}
	}
	for _, span := range c.spans {
		if span.Deep {
			return
		}
	}
	require.NoError(t, decodeErr, "what is regular can be decoded")
	whole, err := tracesDecoder.Decode(request)
	require.NoError(t, err)
	require.Equal(t, marshal(t, td), marshal(t, whole))
	n, ok := Count(request)
	require.True(t, ok)
	require.Equal(t, td.SpanCount(), n)
	require.Len(t, c.spans, n)
	at := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				got := c.spans[at]
				require.Equal(t, span.TraceID(), pcommon.TraceID(got.TraceID))
				require.Equal(t, span.SpanID(), pcommon.SpanID(got.ID))
				require.Equal(t, span.ParentSpanID(), pcommon.SpanID(got.Parent))
				require.Equal(t, span.Name(), got.Name)
				require.Equal(t, span.Kind(), ptrace.SpanKind(got.Kind))
				require.Equal(t, uint64(span.StartTimestamp()), got.Start)
				require.Equal(t, uint64(span.EndTimestamp()), got.Stop)
				require.Equal(t, span.Status().Code() == ptrace.StatusCodeError, got.Failed)
				require.Equal(t, marked(span), got.Marked)
				require.Equal(t, [2]string{rs.SchemaUrl(), ss.SchemaUrl()}, c.schemas[at])
				one, err := unmarshal(c.single[at])
				require.NoError(t, err)
				want := ptrace.NewTraces()
				to := want.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(to.Resource())
				in := to.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(in.Scope())
				span.CopyTo(in.Spans().AppendEmpty())
				require.Equal(t, marshal(t, want), marshal(t, one))
				checkAttributes(t, span, request[got.At:got.End])
				checkDecoded(t, span, request[got.At:got.End])
				at++
			}
		}
	}
}

// deep says whether an attribute is nested so deeply that a test's own recursion is to be kept from it.
func deep(td ptrace.Traces) bool { return td.SpanCount() > 1000 }

func marked(span ptrace.Span) bool {
	is := func(attrs pcommon.Map) bool {
		for key := range attrs.All() {
			if strings.HasPrefix(key, prefix) {
				return true
			}
		}
		return false
	}
	m := is(span.Attributes())
	for _, e := range span.Events().All() {
		m = is(e.Attributes()) || m
	}
	for _, l := range span.Links().All() {
		m = is(l.Attributes()) || m
	}
	return m
}

func checkAttributes(t *testing.T, span ptrace.Span, raw string) {
	type attribute struct {
		key   string
		value Value
	}
	var want, got []attribute
	for key, v := range span.Attributes().All() {
		a := attribute{key: key}
		switch v.Type() {
		case pcommon.ValueTypeStr:
			a.value = Value{Type: Text, Text: v.Str()}
		case pcommon.ValueTypeInt:
			a.value = Value{Type: Int, Int: v.Int()}
		}
		want = append(want, a)
	}
	Attributes(raw, func(key string, v Value) { got = append(got, attribute{key, v}) })
	require.Equal(t, want, got)
}

func TestScan(t *testing.T) {
	request := marshal(t, everything())
	c := &collector{request: request}
	s := Scanner{Prefix: prefix}
	require.NoError(t, s.Scan(request, c), "what pdata writes is regular")
	require.False(t, c.irregular)
	require.Len(t, c.spans, 6)
	check(t, request)
	td := ptrace.NewTraces()
	fillSpan(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty(), 1)
	request = marshal(t, td)
	for i := range request { // cut, and with every byte changed
		check(t, request[:i])
		check(t, request[:i]+string(request[i]^1)+request[i+1:])
		check(t, request[:i]+string([]byte{0x80 | request[i]})+request[i+1:])
	}
}

func TestIrregular(t *testing.T) {
	span := string(append([]byte{0x0a, 16}, make([]byte, 16)...))
	for name, broken := range map[string]string{
		"a field twice":         span + span,
		"an unknown field":      span + "\x8a\x02\x00",
		"a group":               span + "\x0b\x0c",
		"a short id":            "\x0a\x01a",
		"two values":            "\x4a\x06\x12\x04\x0a\x00\x0a\x00",
		"two keys":              "\x4a\x04\x0a\x00\x0a\x00",
		"a length beyond it":    "\x2a\x05a",
		"a length of nine tens": "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"half a time":           "\x39\x00\x00",
		"flags of a wrong type": "\x80\x01\x00",
	} {
		request := string(Request("", "", broken))
		s := Scanner{Prefix: prefix}
		require.ErrorIs(t, s.Scan(request, &collector{request: request}), ErrIrregular, name)
		check(t, request)
	}
}

// nested is a value of so many arrays in each other, written from the inside.
func nested(levels int) []byte {
	parts, n := make([][]byte, 0, levels), 0
	for range levels {
		var part []byte
		if n > 0 {
			part = append(part, elementTag)
			part = binary.AppendUvarint(part, uint64(n))
		}
		head := append([]byte{arrayTag}, binary.AppendUvarint(nil, uint64(n+len(part)))...)
		part = append(head, part...)
		parts = append(parts, part)
		n += len(part)
	}
	all := make([]byte, 0, n)
	for i := len(parts) - 1; i >= 0; i-- {
		all = append(all, parts[i]...)
	}
	return all
}

func TestNesting(t *testing.T) {
	for levels, isDeep := range map[int]bool{1: false, 64: false, MaxNesting: false, MaxNesting + 1: true, 1_000_000: true} {
		value := nested(levels)
		pair := append(binary.AppendUvarint([]byte{valueTag}, uint64(len(value))), value...)
		span := append(binary.AppendUvarint([]byte{attributeTag}, uint64(len(pair))), pair...)
		request := string(Request("", "", string(span)))
		c := &collector{request: request}
		s := Scanner{Prefix: prefix}
		require.NoError(t, s.Scan(request, c), levels)
		require.Equal(t, isDeep, c.spans[0].Deep, levels)
		require.LessOrEqual(t, cap(s.open), 2*MaxNesting)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(marshal(f, everything())))
	f.Add([]byte(marshal(f, ptrace.NewTraces())))
	f.Add([]byte("\n\x10\n\x0e\x1a\x0c\n\x01s\x12\x01t\x1a\x01i\x22\x01d")) // an entity
	f.Add(Request("", "", "\x4a\x06\x18\x01\x12\x02\x40\x01"))              // names by number
	f.Add(Request("", "", "\x4a\x06\x12\x04\x0a\x00\x0a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { check(t, string(data)) })
}

func BenchmarkScan(b *testing.B) {
	request := marshal(b, everything())
	c := &counter{}
	s := Scanner{Prefix: prefix}
	for b.Loop() {
		if err := s.Scan(request, c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(c.spans), "ns/span")
}

type counter struct{ spans int }

func (c *counter) Resource(string, string) (bool, error) { return true, nil }
func (c *counter) Scope(string, string) (bool, error)    { return true, nil }
func (c *counter) Span(*Span) error                      { c.spans++; return nil }
func (c *counter) Skipped(int)                           {}
