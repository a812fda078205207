package otlpwire

import (
	"encoding/binary"
	"math/bits"
)

// SizeOf is what a part of n bytes takes with its tag and length.
func SizeOf(n int) int { return 1 + uvarintSize(uint64(n)) + n }

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// AppendHead writes the tag and the length of a resource or a scope, within ResourceSpans or ScopeSpans.
func AppendHead(buf []byte, head string) []byte { return appendPart(buf, headTag, head) }

// AppendSchemaURL writes one, where it is not empty.
func AppendSchemaURL(buf []byte, url string) []byte {
	if url == "" {
		return buf
	}
	return appendPart(buf, schemaURLTag, url)
}

// SizeOfSchemaURL is what AppendSchemaURL writes.
func SizeOfSchemaURL(url string) int {
	if url == "" {
		return 0
	}
	return SizeOf(len(url))
}

// AppendSpan writes a span into ScopeSpans.
func AppendSpan(buf []byte, span string) []byte { return appendPart(buf, listTag, span) }

// BeginResourceSpans writes the tag and the length of ResourceSpans whose n bytes follow.
func BeginResourceSpans(buf []byte, n int) []byte { return begin(buf, resourceSpansTag, n) }

// BeginScopeSpans does so within ResourceSpans.
func BeginScopeSpans(buf []byte, n int) []byte { return begin(buf, listTag, n) }

func begin(buf []byte, tag byte, n int) []byte {
	return binary.AppendUvarint(append(buf, tag), uint64(n))
}

func appendPart(buf []byte, tag byte, part string) []byte {
	return append(begin(buf, tag, len(part)), part...)
}

// AppendTextAttribute writes an attribute of a resource.
func AppendTextAttribute(buf []byte, key, text string) []byte {
	value := SizeOf(len(text))
	buf = begin(buf, resourceAttributeTag, SizeOf(len(key))+SizeOf(value))
	buf = begin(appendPart(buf, keyTag, key), valueTag, value)
	return appendPart(buf, textTag, text)
}

// SizeOfTextAttribute is what AppendTextAttribute writes.
func SizeOfTextAttribute(key, text string) int {
	return SizeOf(SizeOf(len(key)) + SizeOf(SizeOf(len(text))))
}

// AppendIntAttribute writes an attribute of a resource.
func AppendIntAttribute(buf []byte, key string, n int64) []byte {
	value := 1 + uvarintSize(uint64(n))
	buf = begin(buf, resourceAttributeTag, SizeOf(len(key))+SizeOf(value))
	buf = begin(appendPart(buf, keyTag, key), valueTag, value)
	return binary.AppendUvarint(append(buf, intTag), uint64(n))
}

// Request makes one of a single span, or of none where span is empty, with its resource and scope as bytes of their messages.
func Request(resource, scope, span string) []byte {
	inner := SizeOf(len(scope))
	if span != "" {
		inner += SizeOf(len(span))
	}
	outer := SizeOf(len(resource)) + SizeOf(inner)
	buf := BeginResourceSpans(make([]byte, 0, SizeOf(outer)), outer)
	buf = AppendHead(buf, resource)
	buf = BeginScopeSpans(buf, inner)
	buf = AppendHead(buf, scope)
	if span != "" {
		buf = AppendSpan(buf, span)
	}
	return buf
}

// BeginHead writes the tag and the length of a resource or a scope whose n bytes follow.
func BeginHead(buf []byte, n int) []byte { return begin(buf, headTag, n) }
