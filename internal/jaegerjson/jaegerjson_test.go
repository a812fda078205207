package jaegerjson

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/stretchr/testify/require"
)

// What is written is read as it was.
func TestRoundTrip(t *testing.T) {
	parent := model.NewSpanID(1)
	traceID := model.NewTraceID(0, 7)
	tags := []model.KeyValue{
		model.String("text", "a <b> & \"c\"\x00\u2028"), model.Bool("truth", true), model.Int64("whole", -5), model.Int64("large", math.MaxInt64),
		model.Float64("part", 0.1), model.Float64("tiny", 5e-324), model.Binary("bytes", []byte{0, 255}),
	}
	batches := []*model.Batch{
		{Process: model.NewProcess("cart", tags), Spans: []*model.Span{{
			TraceID: traceID, SpanID: parent, OperationName: "get", Flags: 1, StartTime: time.UnixMicro(1_700_000_000_000_001), Duration: 5 * time.Microsecond,
			Tags: tags, Logs: []model.Log{{Timestamp: time.UnixMicro(2), Fields: tags}},
		}}},
		{Process: model.NewProcess("stock", []model.KeyValue{}), Spans: []*model.Span{{
			TraceID: traceID, SpanID: model.NewSpanID(2), StartTime: time.UnixMicro(3), Tags: []model.KeyValue{},
			References: []model.SpanRef{model.NewChildOfRef(traceID, parent), model.NewFollowsFromRef(model.NewTraceID(1, 2), parent)},
		}}},
	}
	content, err := json.Marshal(Answer{Data: []Trace{NewTrace(batches, nil)}})
	require.NoError(t, err)
	var answer Answer
	require.NoError(t, json.Unmarshal(content, &answer))
	got, err := answer.Data[0].Batches()
	require.NoError(t, err)
	require.Equal(t, batches, got)
}

// A client and its server may share one id, as Zipkin's do.
func TestProcessesOfSpansOfOneID(t *testing.T) {
	span := func(service string) Span {
		return Span{TraceID: "7", SpanID: "1", Process: &Process{ServiceName: service}}
	}
	batches, err := (&Trace{Spans: []Span{span("web"), span("cart")}}).Batches()
	require.NoError(t, err)
	require.Len(t, batches, 2)
	require.Equal(t, "cart", batches[1].Process.ServiceName)
}

// Numbers that JSON lacks are text.
func TestNoNumber(t *testing.T) {
	for _, number := range []float64{math.NaN(), math.Inf(1)} {
		tag := newTag(&model.KeyValue{Key: "k", VType: model.Float64Type, VFloat64: number})
		require.Equal(t, "string", tag.Type)
		require.True(t, json.Valid(tag.Value), "%s", tag.Value)
	}
}

func TestIntegers(t *testing.T) {
	for value, want := range map[string]int64{`5`: 5, `"5"`: 5, `"-9223372036854775808"`: math.MinInt64} {
		got, err := (&Tag{Type: "int64", Value: json.RawMessage(value)}).model()
		require.NoError(t, err, value)
		require.Equal(t, want, got.VInt64)
	}
	for _, value := range []string{``, `"`, `"x"`, `""`, `1.5`, `{}`, `"9223372036854775808"`} {
		_, err := (&Tag{Type: "int64", Value: json.RawMessage(value)}).model()
		require.Error(t, err, value)
	}
}
