package tracerow

import (
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Told is what tails are told of a release (tracestore.Tails.Tell).
func Told(release *tracetree.Release) (*tracestore.Summary, []tracetree.Span) {
	explained := Explained(release)
	row := FromRelease(explained)
	return &row.Summary, explained.Spans
}
