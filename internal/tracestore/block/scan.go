package block

import (
	"bytes"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Candidates appends the numbers of the releases in which one span may meet all the conditions, ascending: the others certainly do
// not. It looks at operations and whole columns and makes no span. The error is ErrCorrupt.
func (b *Body) Candidates(list []int, conditions *tracestore.SpanConditions) ([]int, error) {
	t, err := b.readTables()
	if err != nil {
		return list, err
	}
	s := &scan{
		b: b, t: t, conditions: conditions, timed: usesDuration(conditions), times: ptrace.NewSpan(),
		keys: make(map[string]int32), tests: make(map[testID]*columnTest), resourceKeys: make(map[string]bool),
		annotations: make(map[[2]string]*tracestore.AttributeCondition),
	}
	possible := false
	s.verdicts = make([]tracestore.Verdict, len(t.operations))
	for i := range t.operations {
		if op := &t.operations[i]; op.record == recordSpan {
			s.verdicts[i] = s.judge(conditions, &spanFacts{op: op, span: unknownSpan, resource: unknownResource})
			possible = possible || s.verdicts[i] != tracestore.No
		}
	}
	if s.err != nil || !possible {
		return list, s.err
	}
	if s.cursor, err = newCursor(b, t); err != nil {
		return list, err
	}
	defer s.close()
	for i := range b.releases {
		may := s.next()
		if b.failed || s.err != nil {
			b.failed = false
			return list, fmt.Errorf("%w: release %d", ErrCorrupt, i)
		}
		if may {
			list = append(list, i)
		}
	}
	return list, nil
}

// close keeps the room for another body.
func (s *scan) close() {
	s.cursor.close()
	for _, test := range s.tests {
		if test.reader != nil {
			test.reader.close()
		}
	}
}

// scan is one look for candidates.
type scan struct {
	b          *Body
	t          *tables
	cursor     *cursor
	conditions *tracestore.SpanConditions
	timed      bool                 // the conditions ask for durations
	verdicts   []tracestore.Verdict // by operation, whatever the resource and the duration
	keys       map[string]int32     // text of an attribute's key, −1 where there is none
	tests      map[testID]*columnTest
	resources  map[int32]pcommon.Map
	// resourceKeys says of keys whether they may stand on resources.
	resourceKeys map[string]bool
	times        ptrace.Span  // scratch
	records      []scanRecord // of the release, where one of its spans is in question
	spans        []int32      // operations of its spans
	// annotations are the conditions of which services, operations and categories are made.
	annotations map[[2]string]*tracestore.AttributeCondition
	err         error
}

// spanFacts is what is known of a span, or of all those of an operation.
type spanFacts struct {
	op       *operationInfo
	span     int         // place in the release, or unknownSpan
	resource int32       // entity, or unknownResource
	times    ptrace.Span // has the times, where known says so
	known    bool
}

const (
	unknownSpan     = -1
	unknownResource = -1
)

// next says whether the next release is a candidate, and passes over it.
func (s *scan) next() bool {
	c := s.cursor
	c.readGroups()
	best := s.best()
	if s.b.failed {
		return false
	}
	open := best == tracestore.Maybe // operations alone do not tell
	if open {
		s.list()
	}
	if open && s.timed {
		s.readTimes()
	} else {
		c.skipTimes(c.current.spans)
	}
	may := best == tracestore.Yes || open && s.anySpan()
	for range c.current.spans { // only now: columns are sought from the start of the release
		op := c.operation(&c.spanOps, recordSpan)
		if op < 0 {
			return false
		}
		c.skipRecord(op)
	}
	c.release++
	return may
}

// best is the best verdict among the operations of the release's spans, and notes these.
func (s *scan) best() tracestore.Verdict {
	c := s.cursor
	best := tracestore.No
	s.spans, s.records = s.spans[:0], s.records[:0]
	ops := c.spanOps
	for range c.current.spans {
		op := c.operation(&ops, recordSpan)
		if op < 0 {
			return tracestore.No
		}
		s.spans = append(s.spans, op)
		best = max(best, s.verdicts[op])
	}
	if !s.b.failed {
		c.current.ids = c.spanIDs.rest()[:8*c.current.spans]
	}
	return best
}

func (s *scan) readTimes() {
	c := s.cursor
	c.traceIDs.bytes(16)
	c.spanIDs.bytes(8 * uint64(c.current.spans))
	ops := c.spanOps
	if err := c.readTree(); err != nil {
		s.err = err
		return
	}
	c.spanOps = ops // they are passed over with what belongs to them
	c.readTimes()
}

// anySpan says whether one of the release's spans may meet the conditions.
func (s *scan) anySpan() bool {
	r := &s.cursor.current
	i := 0
	for k := range r.groups {
		resource := s.t.pairs[r.groups[k].pair].resource
		for range r.groups[k].spans {
			if s.b.failed || s.err != nil {
				return false
			}
			if op := s.spans[i]; s.verdicts[op] == tracestore.Maybe {
				if s.timed {
					s.times.SetStartTimestamp(pcommon.Timestamp(r.times.starts[i]))
					s.times.SetEndTimestamp(pcommon.Timestamp(r.times.ends[i]))
				}
				facts := spanFacts{op: &s.t.operations[op], span: i, resource: resource, times: s.times, known: s.timed}
				if s.judge(s.conditions, &facts) != tracestore.No {
					return true
				}
			}
			i++
		}
	}
	return false
}

// judge says what the facts say of the conditions. It recurses as deep as they are nested.
func (s *scan) judge(c *tracestore.SpanConditions, f *spanFacts) tracestore.Verdict {
	v := tracestore.Yes
	also := func(other tracestore.Verdict) { v = min(v, other) }
	if c.Kind != nil {
		also(tracestore.VerdictOf(int32(f.op.kind) == int32(*c.Kind)))
	}
	if c.Errors != nil {
		also(tracestore.VerdictOf((int32(f.op.status) == int32(ptrace.StatusCodeError)) == *c.Errors))
	}
	if c.Service != "" {
		also(max(s.is(f.op.service, c.Service), s.annotated(f, conventions.AttrService, c.Service)))
	}
	if c.Operation != "" {
		also(max(s.is(f.op.name, c.Operation), s.annotated(f, conventions.AttrOperation, c.Operation)))
	}
	if c.Category != "" {
		also(s.annotated(f, conventions.AttrCategory, c.Category))
	}
	if c.MinDuration > 0 || c.MaxDuration > 0 {
		also(durationVerdict(c, f))
	}
	for i := range c.Attributes {
		if v == tracestore.No {
			return v // the others would read columns
		}
		also(s.attribute(&c.Attributes[i], f))
	}
	for i := range c.And {
		also(s.judge(&c.And[i], f))
	}
	if c.Not != nil {
		also(tracestore.Yes - s.judge(c.Not, f))
	}
	if len(c.Or) > 0 {
		best := tracestore.No
		for i := range c.Or {
			best = max(best, s.judge(&c.Or[i], f))
		}
		also(best)
	}
	return v
}

func durationVerdict(c *tracestore.SpanConditions, f *spanFacts) tracestore.Verdict {
	if !f.known {
		return tracestore.Maybe
	}
	d := tracestore.SpanDuration(f.times)
	return tracestore.VerdictOf(tracestore.DurationWithin(d, c.MinDuration, c.MaxDuration))
}

func usesDuration(c *tracestore.SpanConditions) bool {
	uses := c.MinDuration > 0 || c.MaxDuration > 0 || c.Not != nil && usesDuration(c.Not)
	for i := range c.And {
		uses = uses || usesDuration(&c.And[i])
	}
	for i := range c.Or {
		uses = uses || usesDuration(&c.Or[i])
	}
	return uses
}

func (s *scan) is(text int32, want string) tracestore.Verdict {
	return tracestore.VerdictOf(string(s.t.texts.at(text)) == want)
}

// annotated says whether an attribute of the span is this text.
func (s *scan) annotated(f *spanFacts, key, want string) tracestore.Verdict {
	slot := s.slot(f.op, key)
	if slot == nil || s.t.columns[slot.column].kind != kindString {
		return tracestore.No
	}
	id := [2]string{key, want}
	c := s.annotations[id]
	if c == nil {
		c = &tracestore.AttributeCondition{Key: key, Op: tracestore.OpEqual, Text: want}
		s.annotations[id] = c
	}
	return s.slotHolds(c, slot, f)
}

// slot is the first attribute of the key, nil if there is none.
func (s *scan) slot(op *operationInfo, key string) *slotInfo {
	number, ok := s.keys[key]
	if !ok {
		number = -1
		for i := range s.t.texts.spans {
			if string(s.t.texts.at(int32(i))) == key {
				number = int32(i)
			}
		}
		s.keys[key] = number
	}
	if number < 0 {
		return nil
	}
	slots := s.t.slotsOf(op)
	for i := range slots {
		if c := &s.t.columns[slots[i].column]; c.key == number && c.kind <= kindAny {
			return &slots[i]
		}
	}
	return nil
}

// attribute says whether the condition holds on an attribute.
func (s *scan) attribute(c *tracestore.AttributeCondition, f *spanFacts) tracestore.Verdict {
	if c.Scope != tracestore.ScopeResource {
		if slot := s.slot(f.op, c.Key); slot != nil {
			switch c.Op {
			case tracestore.OpExists:
				return tracestore.Yes
			case tracestore.OpNotExists:
				return tracestore.No
			}
			return s.slotHolds(c, slot, f)
		}
		if c.Scope == tracestore.ScopeSpan {
			return tracestore.VerdictOf(c.Op == tracestore.OpNotExists)
		}
	}
	if !s.onResources(c.Key) {
		return tracestore.VerdictOf(c.Op == tracestore.OpNotExists)
	}
	if f.resource == unknownResource {
		return tracestore.Maybe
	}
	value, ok := s.resourceAttributes(f.resource).Get(c.Key)
	switch c.Op {
	case tracestore.OpEqual:
		return tracestore.VerdictOf(ok && value.AsString() == c.Text)
	case tracestore.OpExists:
		return tracestore.VerdictOf(ok)
	case tracestore.OpNotExists:
		return tracestore.VerdictOf(!ok)
	}
	if !ok {
		return tracestore.No
	}
	return tracestore.Maybe
}

// onResources says whether any resource may have an attribute of the key.
func (s *scan) onResources(key string) bool {
	may, ok := s.resourceKeys[key]
	if !ok {
		for i := range s.t.entities {
			may = may || bytes.Contains(s.t.entities[i].otlp, []byte(key))
		}
		s.resourceKeys[key] = may
	}
	return may
}

// resourceAttributes are those of an entity.
func (s *scan) resourceAttributes(entity int32) pcommon.Map {
	if attrs, ok := s.resources[entity]; ok {
		return attrs
	}
	attrs, err := s.t.resourceAttributes(entity)
	if err != nil {
		s.err = err
		return pcommon.NewMap()
	}
	if s.resources == nil {
		s.resources = make(map[int32]pcommon.Map)
	}
	s.resources[entity] = attrs
	return attrs
}

// resourceAttributes are those of an entity that is a resource. The error is ErrCorrupt.
func (t *tables) resourceAttributes(entity int32) (pcommon.Map, error) {
	otlp := t.entities[entity].otlp
	resource := append(appendTagged(nil, tagResource, len(otlp)), otlp...)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(append(appendTagged(nil, tagRepeated, len(resource)), resource...))
	if err != nil {
		return pcommon.Map{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return td.ResourceSpans().At(0).Resource().Attributes(), nil
}
