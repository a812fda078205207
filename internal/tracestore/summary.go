package tracestore

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Operation names a service and one of its operations.
type Operation struct {
	Service   string
	Operation string
}

// Bottleneck is the span that holds the largest share of a trace's critical path.
type Bottleneck struct {
	SpanID  pcommon.SpanID
	Service string
	// Operation is the low-cardinality name.
	Operation string
	Share     float64 // 0 to 1
}

// Summary is one trace as a row: what a search answers, computed over all its releases.
type Summary struct {
	TraceID pcommon.TraceID
	// Entry is where the request entered the system.
	Entry Operation
	// Start is the first start after skew correction, Unix nanoseconds.
	Start int64
	// Duration is the last end minus the first start, nanoseconds.
	Duration   int64
	SpanCount  int
	ErrorCount int
	// Services is sorted.
	Services []string
	// Outcome is that of the last release that is not a late fragment, "late" where there are only fragments, empty
	// where no trace_assembly stood before.
	Outcome string
	// Version is the highest among the releases.
	Version        int
	MissingParents int
	// Bottleneck is nil where no critical path is known.
	Bottleneck *Bottleneck
}
