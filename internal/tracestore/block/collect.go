package block

import (
	"encoding/binary"
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// collected is a release as the encoder wants it, without attributes, which are read when their places are known. Its slices are reused; strings
// in them, and behind their ends, are pdata's until letGo.
type collected struct {
	groups []group
	spans  []spanRecord
	filled int // how far spans was filled since letGo
}

// group is the spans that stand together in one ScopeSpans.
type group struct {
	*hanging
	newResource bool
	spans       int
	size        int // of the spans' fields
}

type section struct{ from, to int32 }

type spanRecord struct {
	shape
	group      int32
	id, parent uint64
	start, end uint64
	name       string
}

// letGo forgets the strings of pdata.
func (c *collected) letGo() {
	clear(c.spans[:c.filled])
	clear(c.groups[:cap(c.groups)])
	c.groups, c.spans, c.filled = c.groups[:0], reuse(c.spans), 0
}

// collect fills e.release.
func (e *Encoder) collect(release *tracetree.Release) error {
	c := &e.release
	c.groups, c.spans = c.groups[:0], slices.Grow(c.spans[:0], len(release.Spans))[:len(release.Spans)]
	c.filled = max(c.filled, len(c.spans))
	for i := range release.Spans {
		span := &release.Spans[i]
		newResource := i == 0 || span.Resource != release.Spans[i-1].Resource
		if newResource || span.Scope != release.Spans[i-1].Scope {
			known, err := e.hanging(span)
			if err != nil {
				return err
			}
			c.groups = append(c.groups, group{hanging: known, newResource: newResource})
		}
		if span.TraceID() != release.TraceID {
			return fmt.Errorf("span of trace %s in a release of trace %s", span.TraceID(), release.TraceID)
		}
		c.groups[len(c.groups)-1].spans++
		c.spans[i].read(span.Span, int32(len(c.groups)-1))
	}
	return nil
}

func (r *spanRecord) read(s ptrace.Span, group int32) {
	id, parent := s.SpanID(), s.ParentSpanID()
	*r = spanRecord{
		shape: shape{record: recordSpan, kind: uint32(s.Kind()), status: uint32(s.Status().Code()), flags: s.Flags()},
		group: group,
		id:    binary.BigEndian.Uint64(id[:]), parent: binary.BigEndian.Uint64(parent[:]),
		start: uint64(s.StartTimestamp()), end: uint64(s.EndTimestamp()), name: s.Name(),
	}
	if s.Events().Len() > 0 {
		r.bits |= hasEvents
	}
	if s.Links().Len() > 0 {
		r.bits |= hasLinks
	}
	if s.DroppedAttributesCount()|s.DroppedEventsCount()|s.DroppedLinksCount() != 0 {
		r.bits |= hasDropped
	}
}

// measure is the size of all groups.
func (c *collected) measure() int {
	total, resource := 0, 0
	for i := len(c.groups) - 1; i >= 0; i-- {
		g := &c.groups[i]
		resource += fieldSize(fieldSize(len(g.scope.otlp)) + g.size + nonEmptySize(g.scope.url))
		if g.newResource {
			total += fieldSize(fieldSize(g.resourceSize) + resource + nonEmptySize(g.resource.url))
			resource = 0
		}
	}
	return total
}

// size is that of the span's fields without attributes, events and links.
func (r *spanRecord) size(s ptrace.Span, state, message string) int {
	size := idSize(16, s.TraceID().IsEmpty()) + idSize(8, r.id == 0) + idSize(8, r.parent == 0) + nonEmptySize(state) + nonEmptySize(r.name) +
		numberSize(uint64(int32(r.kind))) + fixedSize(r.start) + fixedSize(r.end) +
		fieldSize(nonEmptySize(message)+numberSize(uint64(int32(r.status))))
	if r.flags != 0 {
		size += 2 + 4
	}
	return size
}

func idSize(n int, empty bool) int {
	if empty {
		return 2
	}
	return 2 + n
}

func nonEmptySize(s string) int {
	if s == "" {
		return 0
	}
	return fieldSize(len(s))
}

func numberSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + uvarintSize(v)
}

func fixedSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + 8
}
