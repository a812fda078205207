package block

import "github.com/tracewright/tracewright/internal/tracestore/tracerow"

// Header is what a block says of one of its releases apart from the spans.
type Header struct {
	// Version and Part are tracetree.Assembly's.
	Version, Part uint32
	// ReleasedAt is when the call was closed, Unix nanoseconds.
	ReleasedAt int64
	// Row is the row of this release alone. Its TraceID is the release's.
	Row tracerow.Row

	// Spans is the number of spans, repetitions included, and Size that of their bytes as OTLP. Add sets them.
	Spans, Size int
}
