// Package rawspans hands OTLP requests through a pipeline as the bytes that came. What is handed on is a placeholder: as many spans as
// the request has, without content, whose resource has one attribute, the request. So whatever counts spans counts right, and the
// bytes go wherever the placeholder goes. Of more spans than can have ids in so many bytes only these stand in a placeholder: a span of it
// takes a hundred times what an empty one takes in a request. Only a processor that knows of placeholders may take them: docs/adr/011-raw-spans.md.
package rawspans

import (
	"crypto/rand"
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"

	"github.com/tracewright/tracewright/internal/otlpwire"
)

// key is the attribute's. It differs from start to start, so that no sender can write it.
var key = "tracewright.raw." + rand.Text()

// maxRequest is the size of the largest request that a placeholder is made of.
const maxRequest = 1 << 30

// one is a placeholder for a request of one span, without the request.
var one = placeholder("", 1)

// placeholder writes one, as OTLP protobuf.
func placeholder(request string, spans int) []byte {
	resource, list := otlpwire.SizeOfTextAttribute(key, request), spans*otlpwire.SizeOf(0)
	size := otlpwire.SizeOf(resource) + otlpwire.SizeOf(list)
	buf := otlpwire.BeginResourceSpans(make([]byte, 0, otlpwire.SizeOf(size)), size)
	buf = otlpwire.AppendTextAttribute(otlpwire.BeginHead(buf, resource), key, request)
	buf = otlpwire.BeginScopeSpans(buf, list)
	for range spans {
		buf = otlpwire.AppendSpan(buf, "")
	}
	return buf
}

// Replace is a placeholder for a request, as OTLP protobuf; the request itself where its frame is broken, or unusual, or it has no span.
func Replace(request []byte) []byte {
	spans, ok := count(otlpwire.String(request))
	if !ok {
		return request
	}
	return placeholder(otlpwire.String(request), spans)
}

// Decoder is what the collector's trace requests are.
type Decoder interface{ UnmarshalProto(data []byte) error }

// Decode makes of a request what to decodes of what Replace makes of it, but copies neither the request, which it keeps, nor the empty span:
// all spans of the placeholder are the same one (not where pdata pools). to is the collector's trace request, whose type pdata does not export; its fields are found
// by reflection, and it panics where one is missing.
func Decode(request string, to Decoder) error {
	spans, ok := count(request)
	if !ok {
		return to.UnmarshalProto(otlpwire.Bytes(request))
	}
	if pref.UseProtoPooling.IsEnabled() {
		return to.UnmarshalProto(placeholder(request, spans)) // one span would be recycled once for each
	}
	if err := to.UnmarshalProto(one); err != nil {
		return err
	}
	rs := reflect.ValueOf(to).Elem().FieldByName("ResourceSpans").Index(0).Elem()
	value := rs.FieldByName("Resource").FieldByName("Attributes").Index(0).FieldByName("Value").FieldByName("Value")
	value.Elem().Elem().FieldByName("StringValue").SetString(request)
	list := rs.FieldByName("ScopeSpans").Index(0).Elem().FieldByName("Spans")
	same := reflect.MakeSlice(list.Type(), spans, spans)
	reflect.Copy(same, list)
	for done := 1; done < spans; done *= 2 {
		reflect.Copy(same.Slice(done, spans), same.Slice(0, done))
	}
	list.Set(same)
	return nil
}

// count is the number of spans in the placeholder of a request; ok says whether one is made of it.
func count(request string) (spans int, ok bool) {
	spans, ok = otlpwire.Count(request)
	return min(spans, mostSpans(request)), ok && spans > 0 && len(request) <= maxRequest
}

// leastSpan is what a span with both ids takes in a request.
const leastSpan = 2 + (2 + 16) + (2 + 8)

// mostSpans is how many spans with ids a request can have, and some without, so that ordinary requests that have such are counted right.
func mostSpans(request string) int { return len(request)/leastSpan + 1000 }

// Dense says whether spans of a request must be without ids, so many are they for its bytes. Decoded it takes a hundred times as much.
func Dense(request string) bool {
	spans, ok := otlpwire.Count(request)
	return ok && spans > mostSpans(request)
}

var errChanged = errors.New("the spans of a request that is handed on as it came were changed on the way: " +
	"trace_assembly must stand first in its pipeline, behind memory_limiter at most")

// Unwrap takes the placeholders out of td and returns their requests, one behind the other, which is a request again; empty where
// there is none. It fails where spans were taken out of a placeholder.
func Unwrap(td ptrace.Traces) (requests string, err error) {
	found := 0
	for i := range td.ResourceSpans().Len() {
		rs := td.ResourceSpans().At(i)
		request, ok := rs.Resource().Attributes().Get(key)
		if !ok {
			continue
		}
		found++
		n := 0
		for j := range rs.ScopeSpans().Len() {
			n += rs.ScopeSpans().At(j).Spans().Len()
		}
		if spans, ok := count(request.Str()); !ok || spans != n {
			return "", errChanged
		}
		requests += request.Str() // one nearly always, which is not copied
	}
	switch found {
	case 0:
		return "", nil
	case td.ResourceSpans().Len():
		td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
	default:
		td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
			_, ok := rs.Resource().Attributes().Get(key)
			return ok
		})
	}
	return requests, nil
}
