package rawspansextension

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/tracewright/tracewright/internal/rawspans"
)

// codec is the collector's, but for trace requests: of those it makes placeholders.
type codec struct {
	encoding.CodecV2
	traceRequest reflect.Type
}

var errCodec = errors.New("the collector's gRPC codec is not what raw_spans was made for; remove it from middlewares")

func newCodec() (*codec, error) {
	standard := encoding.GetCodecV2("proto")
	request, err := traceRequestType()
	if err != nil {
		return nil, err
	}
	if standard == nil {
		return nil, errCodec
	}
	return &codec{standard, request}, nil
}

// Unmarshal makes a request of what came.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	if reflect.TypeOf(v) != c.traceRequest {
		return c.CodecV2.Unmarshal(data, v)
	}
	var request strings.Builder // its memory is not cleared first
	request.Grow(data.Len())
	for _, part := range data {
		request.Write(part.ReadOnlyData())
	}
	return rawspans.Decode(request.String(), v.(rawspans.Decoder))
}

// traceRequestType is the type of trace requests, which pdata does not export: it is what an ExportRequest refers to. It fails where
// rawspans cannot make a placeholder of one.
func traceRequestType() (request reflect.Type, err error) {
	field, ok := reflect.TypeFor[ptraceotlp.ExportRequest]().FieldByName("orig")
	if !ok || field.Type.Kind() != reflect.Pointer {
		return nil, errCodec
	}
	to, ok := reflect.New(field.Type.Elem()).Interface().(rawspans.Decoder)
	if !ok {
		return nil, errCodec
	}
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sample, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return nil, err
	}
	defer func() {
		if missing := recover(); missing != nil {
			err = fmt.Errorf("%w: %v", errCodec, missing)
		}
	}()
	return field.Type, rawspans.Decode(string(sample), to)
}
