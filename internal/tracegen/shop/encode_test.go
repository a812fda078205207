package shop

import (
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// encodeVisit encodes a visit as one request, and gives the scope and resource of each span besides.
func encodeVisit(s *Shop, v *Visit) []byte {
	batches := map[int]*wire.Batch{}
	var order []int
	s.Encode(v, 0, func(i int, scope wire.Scope, span *wire.Span) {
		instance := s.Instance(&v.Spans[i])
		if batches[instance] == nil {
			batches[instance] = wire.NewBatch(s.Resource(instance), SchemaURL)
			order = append(order, instance)
		}
		batches[instance].Add(scope, span)
	})
	var request []byte // requests add up when they are put behind one another
	for _, instance := range order {
		payload := batches[instance].Payload()
		payload.Move(wire.Mask{}, 1_700_000_000_000_000_000)
		request = append(request, payload.Bytes()...)
	}
	return request
}

// What a reader of OTLP finds is what the model says.
func TestEncodeRoundTrip(t *testing.T) {
	s := New(Options{Seed: 7})
	exceptions, links := 0, 0
	for i := range 400 {
		v := s.Visit(i)
		traces, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(encodeVisit(s, v))
		require.NoError(t, err)
		require.Equal(t, len(v.Spans), traces.SpanCount())
		want := map[uint64]*Span{}
		for k := range v.Spans {
			want[v.Spans[k].ID] = &v.Spans[k]
		}
		require.Len(t, want, len(v.Spans))
		for _, rs := range traces.ResourceSpans().All() {
			require.Equal(t, SchemaURL, rs.SchemaUrl())
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				require.NotEmpty(t, ss.Scope().Name())
				for _, got := range ss.Spans().All() {
					id := got.SpanID()
					model := want[binary.BigEndian.Uint64(id[:])]
					require.NotNil(t, model)
					checkSpan(t, v, model, got)
					require.Equal(t, services[model.Service].Name, service.Str())
					exceptions += got.Events().Len()
					links += got.Links().Len()
				}
			}
		}
	}
	require.Positive(t, exceptions)
	require.Positive(t, links)
}

func checkSpan(t *testing.T, v *Visit, want *Span, got ptrace.Span) {
	t.Helper()
	require.Equal(t, pcommon.TraceID(v.Traces[want.Trace].ID), got.TraceID())
	var parent pcommon.SpanID
	if want.Parent >= 0 {
		binary.BigEndian.PutUint64(parent[:], v.Spans[want.Parent].ID)
	}
	require.Equal(t, parent, got.ParentSpanID())
	require.Equal(t, want.Name, got.Name())
	require.Equal(t, int32(want.Kind), int32(got.Kind()))
	require.Equal(t, want.Start+1_700_000_000_000_000_000, int64(got.StartTimestamp()))
	require.Equal(t, want.End+1_700_000_000_000_000_000, int64(got.EndTimestamp()))
	require.Equal(t, want.Failed, got.Status().Code() == ptrace.StatusCodeError)
	attributes := got.Attributes()
	require.GreaterOrEqual(t, attributes.Len(), 10, want.Name)
	require.LessOrEqual(t, attributes.Len(), 15, want.Name)
	_, hasError := attributes.Get("error.type")
	require.Equal(t, want.Failed, hasError)
	if want.origin {
		require.Equal(t, 1, got.Events().Len())
		event := got.Events().At(0)
		require.Equal(t, "exception", event.Name())
		require.Equal(t, 3, event.Attributes().Len())
		require.GreaterOrEqual(t, event.Timestamp(), got.StartTimestamp())
		require.LessOrEqual(t, event.Timestamp(), got.EndTimestamp())
	}
}

// Generated traffic must not be easier to compress than real traffic, or a store would look better on it than it is.
func TestCompressesLikeRealTraffic(t *testing.T) {
	const blockSize = 256 << 10
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(3)))
	require.NoError(t, err)
	s := New(Options{Seed: 3})
	var block []byte
	spans, raw, compressed := 0, 0, 0
	flush := func() {
		raw += len(block)
		compressed += len(encoder.EncodeAll(block, nil))
		block = block[:0]
	}
	for i := range 3000 {
		v := s.Visit(i)
		spans += len(v.Spans)
		if block = append(block, encodeVisit(s, v)...); len(block) >= blockSize {
			flush()
		}
	}
	flush()
	perSpan := float64(compressed) / float64(spans)
	t.Logf("%.1f spans a trace, %.0f bytes a span grouped by trace, %.1f under zstd",
		float64(spans)/3000, float64(raw)/float64(spans), perSpan)
	require.GreaterOrEqual(t, perSpan, 75.0)
}
