package rollup

import (
	"bytes"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// What a release adds besides its spans.

// rootSpan is the entry root of a release: the earliest span without a parent, else the span that carries what concerns the
// release, which analysis puts on the entry root.
type rootSpan struct {
	found, rooted bool
	start         int64
	id            pcommon.SpanID
	environment   uint32
	entry         tracestore.Operation
	duration      int64
	span          *tracetree.Span
}

func (r *rootSpan) consider(c *collector) {
	rooted := c.span.ParentSpanID().IsEmpty()
	if c.read.entry.Service == "" || !rooted && (r.rooted || !c.read.summary) {
		return
	}
	start, id := startTime(c.span.Span), c.span.SpanID()
	if r.found && rooted == r.rooted && (start > r.start || start == r.start && bytes.Compare(id[:], r.id[:]) >= 0) {
		return
	}
	*r = rootSpan{
		found: true, rooted: rooted, start: start, id: id, environment: c.resource.environment, entry: c.read.entry,
		duration: c.duration, span: c.span,
	}
}

func (c *collector) addEntry(root *rootSpan, entry entryKey, outcome string, failed bool) {
	r := c.Sums.at(Entries, &key{
		colEnvironment: entry.environment, entryService: entry.service, entryOperation: entry.operation, entryOutcome: c.id(outcome),
	})
	r.numbers[numCount] = sum(r.numbers[numCount], 1)
	if failed {
		r.numbers[numErrors] = sum(r.numbers[numErrors], 1)
	}
	r.durations.add(root.duration)
}
