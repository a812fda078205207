package kafkareceiver

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// message wraps a body as a field of a message: its number, its length.
func message(number byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(body))), body...)
}

// nested is an attribute k whose value is arrays within arrays, of so many bytes at least.
func nested(size int) []byte {
	backwards := []byte{1, 3 << 3} // AnyValue.int_value 1
	for len(backwards) < size {
		for _, number := range []byte{1, 5} { // ArrayValue.values, AnyValue.array_value
			length := binary.AppendUvarint(nil, uint64(len(backwards)))
			slices.Reverse(length)
			backwards = append(append(backwards, length...), number<<3|2)
		}
	}
	slices.Reverse(backwards)
	return append([]byte{1<<3 | 2, 1, 'k'}, message(2, backwards)...)
}

// request is one of a span; more are fields of the resource, the scope and the span.
func request(resource, scope, span []byte) []byte {
	id := append(message(1, make([]byte, 16)), message(2, []byte("12345678"))...)
	spans := append(message(1, scope), message(2, append(id, span...))...)
	return message(1, append(message(1, resource), message(2, spans)...))
}

func TestProtobuf(t *testing.T) {
	const overflows = safeProtobuf + 1<<20 // about as many bytes of levels end the process
	for name, test := range map[string]struct {
		message []byte
		want    string // of the error; empty for a span
	}{
		"plain":          {request(nil, nil, nil), ""},
		"deep and small": {request(nil, nil, message(9, nested(1<<20))), ""},
		"deep span":      {request(nil, nil, message(9, nested(overflows))), "nested more than 10000 levels deep"},
		"deep event":     {request(nil, nil, message(11, message(3, nested(overflows)))), "nested more than 10000 levels deep"},
		"deep resource":  {request(message(1, nested(overflows)), nil, nil), "nested more than 10000 levels deep"},
		"deep scope":     {request(nil, message(3, nested(overflows)), nil), "nested more than 10000 levels deep"},
		"irregular":      {request(nil, nil, message(15, nested(overflows))), "not what senders write"},
		"cut":            {request(nil, nil, message(5, make([]byte, 9<<20)))[:9<<20], "not what senders write"},
		"long":           {request(nil, nil, message(5, slices.Repeat([]byte("x"), 20<<20))), ""},
		"no request":     {[]byte("{}"), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			td, err := new(protobuf).UnmarshalTraces(test.message)
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 1, td.SpanCount())
		})
	}
}

func TestJSON(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{1})
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	got, err := new(json).UnmarshalTraces(body)
	require.NoError(t, err)
	require.Equal(t, 1, got.SpanCount())
	_, err = new(json).UnmarshalTraces([]byte(strings.Repeat("[", maxJSON+1)))
	require.ErrorContains(t, err, "refuse a message")
}
