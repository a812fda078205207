// Package block is the format in which the embedded store keeps spans: many releases in one block, by columns, compressed.
// docs/storage-format.md describes it byte by byte.
//
// A block has two halves that are stored under keys of their own. The head says what is in the block: for each release its
// trace, its row and what it takes to find it, and a filter that passes over whole blocks for what they do not hold. The body
// has the spans. A look-up by trace id reads a body alone, if the index has the release's number in the block; a search reads heads, and
// bodies only where the head says that there may be something.
//
//	releases ─► Encoder ─► head ─► OpenHead ─► Head   headers, filter
//	                   └─► body ─► OpenBody ─► Body   candidates, spans
//
// What is decoded is what was written: pdata makes the same bytes of both. A release of a call is one ResourceSpans for each ResourceSpans of
// the call that holds spans of it, therein one ScopeSpans for each such ScopeSpans, and the spans, all of them in the order of the
// call. Two fields of OTLP are not kept, because pdata does not show them: indexes into string tables
// (KeyValue.key_strindex, AnyValue.string_value_strindex), which profiles alone use.
//
// Bytes that were not written by an Encoder are an error, never a panic, and never take more memory than their length
// allows (MaxReleaseBytes).
package block
