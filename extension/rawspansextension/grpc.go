package rawspansextension

import (
	"errors"
	"reflect"

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

// decoder is what the collector's requests are.
type decoder interface{ UnmarshalProto([]byte) error }

func newCodec() (*codec, error) {
	standard := encoding.GetCodecV2("proto")
	request, err := traceRequestType()
	if err == nil && standard == nil {
		err = errCodec
	}
	return &codec{standard, request}, err
}

// Unmarshal makes a request of what came.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	if reflect.TypeOf(v) != c.traceRequest {
		return c.CodecV2.Unmarshal(data, v)
	}
	return rawspans.Decode(data.Len(), func(request []byte) { data.CopyTo(request) }, v.(decoder).UnmarshalProto)
}

var errCodec = errors.New("the collector's gRPC codec is not what raw_spans was made for; remove it from middlewares")

// traceRequestType is the type of trace requests, which pdata does not export: it is what an ExportRequest refers to.
func traceRequestType() (reflect.Type, error) {
	field, ok := reflect.TypeFor[ptraceotlp.ExportRequest]().FieldByName("orig")
	if !ok || !field.Type.Implements(reflect.TypeFor[decoder]()) {
		return nil, errCodec
	}
	return field.Type, nil
}
