package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// wild makes releases that no decent sender would. It writes OTLP, because pdata's setters cannot make everything that it reads:
// keys that stand twice, entity references.
type wild struct{ *rand.Rand }

func (w wild) text() string {
	pool := []string{
		"", "a", "\x00", "\x01\x02\x03", "\xff\xfe", "service.name", conventions.AttrSelfTime, conventions.AttrBottleneckShare,
		conventions.AttrStart, conventions.AttrDuration, conventions.AttrCriticalPathTime, conventions.AttrService, conventions.AttrOperation, "GET /orders/12345", "007", "0", "999999999999999999",
		"1000000000000000000", "10.0.0.1", "256.1.1.1", "1.2.3.4.5", "10.0.0.01", "deadbeef01", "DEADBEEF01", "0123456789abcdef",
		"123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000x", "123e4567-e89b-12d3-a456-42661417400g",
		strings.Repeat("0123456789abcdef", 3), strings.Repeat("x", 300), strings.Repeat("long ", 1000), "unknown_service",
	}
	switch w.IntN(4) {
	case 0:
		return fmt.Sprintf("user-%d at %x from 10.%d.0.1", w.IntN(1e6), w.Uint64(), w.IntN(300))
	case 1:
		return fmt.Sprintf("%016x", w.id())
	}
	return pool[w.IntN(len(pool))]
}

func (w wild) number() uint64 {
	pool := []uint64{0, 1, 2, 127, 128, 255, 1 << 31, 1<<32 - 1, 1 << 62, 1<<63 - 1, 1 << 63, math.MaxUint64, math.Float64bits(math.NaN())}
	if w.IntN(2) == 0 {
		return pool[w.IntN(len(pool))]
	}
	return w.Uint64() >> w.IntN(64)
}

// id is one of a few, so that parents, links and texts hit spans.
func (w wild) id() uint64 { return uint64(w.IntN(6)) * 0x0101010101010101 }

func (w wild) value(depth int) (b []byte) {
	switch w.IntN(9 - depth) {
	case 0:
		return nil // empty
	case 1, 2:
		return protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), w.text())
	case 3:
		return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), w.number()&1)
	case 4:
		return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), w.number())
	case 5:
		return protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), w.number())
	case 6:
		return protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), []byte(w.text()))
	case 7:
		var list []byte
		for range w.IntN(4) {
			list = protowire.AppendBytes(protowire.AppendTag(list, 1, protowire.BytesType), w.value(min(depth+1, 3)))
		}
		return protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), list)
	}
	return protowire.AppendBytes(protowire.AppendTag(b, 6, protowire.BytesType), w.attributes(nil, 1, min(depth+1, 3)))
}

func (w wild) attributes(b []byte, field protowire.Number, depth int) []byte {
	for range w.IntN(5) {
		pair := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), w.text())
		pair = protowire.AppendBytes(protowire.AppendTag(pair, 2, protowire.BytesType), w.value(depth))
		b = protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), pair)
	}
	return b
}

func (w wild) maybe(b []byte, field protowire.Number, number bool) []byte {
	switch {
	case w.IntN(2) == 0:
		return b
	case number:
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), w.number())
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), w.text())
}

func (w wild) fixed(b []byte, field protowire.Number) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), w.number())
}

func spanID(b []byte, field protowire.Number, id uint64) []byte {
	if id == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), protowire.AppendFixed64(nil, id))
}

func traceID(b []byte, id byte) []byte {
	if id == 0 {
		return b
	}
	raw := make([]byte, 16)
	raw[15] = id
	return protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), raw)
}

func (w wild) span(traces int) []byte {
	b := traceID(nil, byte(w.IntN(traces)))
	b = spanID(b, 2, w.id())
	b = w.maybe(b, 3, false)
	b = spanID(b, 4, w.id())
	b = w.maybe(b, 5, false)
	b = w.maybe(b, 6, true)
	b = w.fixed(w.fixed(b, 7), 8)
	b = w.attributes(b, 9, 0)
	b = w.maybe(b, 10, true)
	for range max(0, w.IntN(6)-3) {
		event := w.maybe(w.fixed(nil, 1), 2, false)
		event = w.maybe(w.attributes(event, 3, 0), 4, true)
		b = protowire.AppendBytes(protowire.AppendTag(b, 11, protowire.BytesType), event)
	}
	b = w.maybe(b, 12, true)
	for range max(0, w.IntN(6)-3) {
		link := spanID(traceID(nil, byte(w.IntN(traces))), 2, w.id())
		link = w.maybe(link, 3, false)
		link = w.maybe(w.attributes(link, 4, 0), 5, true)
		if w.IntN(2) == 0 {
			link = protowire.AppendFixed32(protowire.AppendTag(link, 6, protowire.Fixed32Type), uint32(w.number()))
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, 13, protowire.BytesType), link)
	}
	b = w.maybe(b, 14, true)
	b = protowire.AppendBytes(protowire.AppendTag(b, 15, protowire.BytesType), w.maybe(w.maybe(nil, 2, false), 3, true))
	if w.IntN(2) == 0 {
		b = protowire.AppendFixed32(protowire.AppendTag(b, 16, protowire.Fixed32Type), uint32(w.number()))
	}
	return b
}

// released mostly says when a call was released, as trace_assembly does it or in other ways, perhaps twice.
func (w wild) released(b []byte) []byte {
	for range w.IntN(3) {
		value := w.value(0)
		if w.IntN(4) > 0 {
			value = protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), w.number())
		}
		pair := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), conventions.AttrReleasedAt)
		pair = protowire.AppendBytes(protowire.AppendTag(pair, 2, protowire.BytesType), value)
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), pair)
	}
	return b
}

func (w wild) call() []byte {
	var call []byte
	traces := 1 + w.IntN(4)
	for range w.IntN(4) {
		resource := w.released(w.attributes(nil, 1, 0))
		if w.IntN(2) == 0 {
			resource = w.attributes(resource, 1, 0)
		}
		resource = w.maybe(resource, 2, true)
		if w.IntN(3) == 0 {
			ref := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "host")
			resource = protowire.AppendBytes(protowire.AppendTag(resource, 3, protowire.BytesType), ref)
		}
		rs := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), resource)
		for range w.IntN(4) {
			scope := w.attributes(w.maybe(w.maybe(nil, 1, false), 2, false), 3, 0)
			ss := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), w.maybe(scope, 4, true))
			for range w.IntN(8) {
				ss = protowire.AppendBytes(protowire.AppendTag(ss, 2, protowire.BytesType), w.span(traces))
			}
			rs = protowire.AppendBytes(protowire.AppendTag(rs, 2, protowire.BytesType), w.maybe(ss, 3, false))
		}
		rs = w.maybe(rs, 3, false)
		call = protowire.AppendBytes(protowire.AppendTag(call, 1, protowire.BytesType), rs)
	}
	return call
}

func unmarshal(t testing.TB, otlp []byte) ptrace.Traces {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
	require.NoError(t, err)
	return td
}

// TestRoundTripOfWildSpans: whatever pdata reads comes back, many calls to a block and many blocks from an encoder.
func TestRoundTripOfWildSpans(t *testing.T) {
	w := wild{rand.New(rand.NewPCG(1, 2))}
	encoder := NewEncoder()
	for range 30 {
		var releases []tracetree.Release
		for range w.IntN(20) {
			releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
		}
		roundTrip(t, encoder, releases)
	}
}

// TestDeepValues: pdata reads an attribute that is nested ten thousand times, and so does a block.
func TestDeepValues(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	list := span.Attributes().PutEmptySlice("list")
	table := span.Attributes().PutEmptyMap("map")
	for range 10_000 {
		list.AppendEmpty().SetInt(1)
		list = list.AppendEmpty().SetEmptySlice()
		table = table.PutEmptyMap("")
		table.PutStr("k", "v")
	}
	require.Equal(t, 10_001, conventions.ExtentOf(first(span.Attributes())).Depth)
	roundTrip(t, NewEncoder(), tracetree.Releases(td))
}

func first(attrs pcommon.Map) pcommon.Value {
	v, _ := attrs.Get("list")
	return v
}

// TestLargeRelease: what compresses by thousands is within the bounds that a reader holds it to.
func TestLargeRelease(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	long := strings.Repeat("x", 1<<20)
	for i := range 6 {
		span := spans.AppendEmpty()
		span.SetSpanID(pcommon.SpanID{7: byte(i)})
		span.Attributes().PutStr("long", long)
		span.Attributes().PutStr(fmt.Sprint("long", i), long)
	}
	_, body := roundTrip(t, NewEncoder(), tracetree.Releases(td))
	require.Less(t, len(body), 64<<10)
}

// TestManyOperations: more than two bytes count.
func TestManyOperations(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 1<<16 + 10 {
		spans.AppendEmpty().SetName(fmt.Sprint("operation ", i))
	}
	roundTrip(t, NewEncoder(), tracetree.Releases(td))
}

// TestMemoryIsForgotten: an encoder that has seen more than it keeps begins anew, and nothing changes.
func TestMemoryIsForgotten(t *testing.T) {
	encoder := NewEncoder()
	forgotten := false
	for n := 0; n < 40 && !forgotten; n++ {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		for i := range 2000 {
			span := spans.AppendEmpty()
			span.Attributes().PutInt(fmt.Sprint("key ", n, " ", i), int64(i))
			span.Attributes().PutStr("same", "value")
		}
		before := encoder.kept
		roundTrip(t, encoder, tracetree.Releases(td))
		forgotten = forgotten || encoder.kept < before
	}
	require.True(t, forgotten)
	require.Less(t, encoder.kept, 2*maxKept)
}

// TestReset: what was added and thrown away leaves nothing behind.
func TestReset(t *testing.T) {
	w := wild{rand.New(rand.NewPCG(3, 4))}
	encoder := NewEncoder()
	for range 20 {
		releases := tracetree.Releases(unmarshal(t, w.call()))
		for i := range releases {
			require.NoError(t, encoder.Add(&releases[i], headerOf(&releases[i])))
		}
		encoder.Reset()
		require.Zero(t, encoder.Len())
		require.Zero(t, encoder.Spans())
		roundTrip(t, encoder, tracetree.Releases(unmarshal(t, w.call())))
	}
}
