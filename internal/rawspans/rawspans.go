// Package rawspans hands OTLP requests through a pipeline as the bytes that came. What is handed on is a placeholder: as many spans as
// the request has, without content, whose resource has one attribute, the request. So whatever counts spans counts right, and the
// bytes go wherever the placeholder goes. Only a processor that knows of placeholders may take them: docs/adr/011-raw-spans.md.
package rawspans

import (
	"crypto/rand"
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/otlpwire"
)

// key is the attribute's. It differs from start to start, so that no sender can write it.
var key = "tracewright.raw." + rand.Text()

// Tags of the placeholder's messages; it is written by hand because the request need not be copied once more then.
const (
	lengthBytes = 5 // that a length is written with: it is known only when what follows is written

	resourceSpansTag = 0x0a
	resourceTag      = 0x0a
	attributeTag     = 0x0a
	keyTag           = 0x0a
	valueTag         = 0x12
	textTag          = 0x0a
	scopeSpansTag    = 0x12
	spanTag          = 0x12
)

// keyField is the attribute's key as it is written.
var keyField = append([]byte{keyTag, byte(len(key))}, key...)

// headBytes is the place before the request in a placeholder.
var headBytes = 5*(1+lengthBytes) + len(keyField)

// room is what a placeholder for a request of so many bytes takes, nearly always.
func room(size int) int { return headBytes + size + size/32 + 64 }

// buffers are those of placeholders.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled is the largest that is kept.
const maxPooled = 1 << 20

// Decode has decode make of a request what it makes of a placeholder for it, as OTLP protobuf: of the request itself where its frame is
// broken, or unusual, or it has no span. write writes the request of size bytes; decode must not keep what it is given.
func Decode(size int, write func(request []byte), decode func(data []byte) error) error {
	pooled := buffers.Get().(*[]byte)
	buf := slices.Grow((*pooled)[:0], room(size))[:headBytes+size]
	write(buf[headBytes:])
	data := buf[headBytes:]
	placeholder, ok := wrap(buf)
	if ok {
		data, buf = placeholder, placeholder
	}
	err := decode(data)
	if cap(buf) <= maxPooled {
		*pooled = buf
		buffers.Put(pooled)
	}
	return err
}

// Replace is a placeholder for a request, which it copies; the request itself where Decode would not make one of it.
func Replace(request []byte) []byte {
	buf := make([]byte, headBytes+len(request), room(len(request)))
	copy(buf[headBytes:], request)
	if placeholder, ok := wrap(buf); ok {
		return placeholder
	}
	return request
}

// wrap writes a placeholder around the request that stands behind its head.
func wrap(buf []byte) (placeholder []byte, ok bool) {
	request := len(buf) - headBytes
	spans, ok := otlpwire.Count(otlpwire.String(buf[headBytes:]))
	if !ok || spans == 0 || request > 1<<30 {
		return nil, false
	}
	head := buf[:0]
	scope := 2 * spans
	text := request
	value := 1 + lengthBytes + text
	pair := len(keyField) + 1 + lengthBytes + value
	resource := 1 + lengthBytes + pair
	head = appendLength(head, resourceSpansTag, 1+lengthBytes+resource+1+lengthBytes+scope)
	head = appendLength(head, resourceTag, resource)
	head = appendLength(head, attributeTag, pair)
	head = append(head, keyField...)
	head = appendLength(head, valueTag, value)
	appendLength(head, textTag, text)
	buf = appendLength(buf, scopeSpansTag, scope)
	for range spans {
		buf = append(buf, spanTag, 0)
	}
	return buf, true
}

// appendLength writes a tag and a length, which takes lengthBytes whatever it is.
func appendLength(buf []byte, tag byte, n int) []byte {
	buf = append(buf, tag)
	for range lengthBytes - 1 {
		buf = append(buf, byte(n)|0x80)
		n >>= 7
	}
	return append(buf, byte(n))
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
		if spans, ok := otlpwire.Count(request.Str()); !ok || spans != n {
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
