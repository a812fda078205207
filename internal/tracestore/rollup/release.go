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
		duration: c.duration,
	}
}

func (c *collector) addEntry(root *rootSpan, outcome string, failed bool) {
	r := c.Sums.at(Entries, &key{
		colEnvironment: root.environment, entryService: c.id(root.entry.Service), entryOperation: c.id(root.entry.Operation),
		entryOutcome: c.id(outcome),
	})
	r.numbers[numCount] = sum(r.numbers[numCount], 1)
	if failed {
		r.numbers[numErrors] = sum(r.numbers[numErrors], 1)
	}
	r.durations.add(root.duration)
}

// addUnrepaired counts the spans whose calls the edges may not show as they were. Each names a parent that is not in its
// release, and
//
//   - its caller is not known: the release misses parents that were released nowhere; or
//   - its caller is known from an earlier release (parent.service), in which it seemed to be answered by nobody, so that a virtual
//     peer may have been counted in this span's place.
//
// What a later release repairs (child.service) stays counted: it brings the call, but not the errors and durations. So edges are
// wrong by at most as many calls.
func (c *collector) addUnrepaired(release *tracetree.Release, missing bool) {
	ids := make(map[pcommon.SpanID]struct{}, len(release.Spans))
	for i := range release.Spans {
		ids[release.Spans[i].SpanID()] = struct{}{}
	}
	for i := range release.Spans {
		c.span = &release.Spans[i]
		parent := c.span.ParentSpanID()
		if _, here := ids[parent]; here || parent.IsEmpty() {
			continue
		}
		c.read.read(c.span.Attributes())
		if c.read.conflicting || c.read.parent.Service == "" && !missing {
			continue
		}
		c.describe()
		r := c.spans()
		r.numbers[numUnrepaired] = sum(r.numbers[numUnrepaired], 1)
	}
}
