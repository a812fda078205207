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
		keys: make(map[string]int32), columns: make(map[columnText]bool),
	}
	possible := false
	s.verdicts = make([]tracestore.Verdict, len(t.operations))
	for i := range t.operations {
		if op := &t.operations[i]; op.record == recordSpan {
			s.verdicts[i] = s.judge(conditions, &spanFacts{op: op, resource: unknownResource})
			possible = possible || s.verdicts[i] != tracestore.No
		}
	}
	if s.err != nil || !possible {
		return list, s.err
	}
	if s.cursor, err = newCursor(b, t); err != nil {
		return list, err
	}
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

// scan is one look for candidates.
type scan struct {
	b          *Body
	t          *tables
	cursor     *cursor
	conditions *tracestore.SpanConditions
	timed      bool                 // the conditions ask for durations
	verdicts   []tracestore.Verdict // by operation, whatever the resource and the duration
	keys       map[string]int32     // text of an attribute's key, −1 where there is none
	columns    map[columnText]bool  // whether the value may stand in the column
	resources  map[int32]pcommon.Map
	times      ptrace.Span // scratch
	err        error
}

type columnText struct {
	column int32
	text   string
}

// spanFacts is what is known of a span, or of all those of an operation.
type spanFacts struct {
	op       *operationInfo
	resource int32       // entity, or unknownResource
	times    ptrace.Span // has the times, where known says so
	known    bool
}

const unknownResource = -1

// next says whether the next release is a candidate, and passes over it.
func (s *scan) next() bool {
	c := s.cursor
	c.readGroups()
	if s.b.failed {
		return false
	}
	r := &c.current
	ops := c.spanOps
	worst := tracestore.No
	for range r.spans {
		op := c.operation(&ops, recordSpan)
		if op < 0 {
			return false
		}
		worst = max(worst, s.verdicts[op])
	}
	if worst != tracestore.Maybe {
		c.skipTimes(r.spans)
	} else if s.timed {
		c.traceIDs.bytes(16)
		r.ids = c.spanIDs.bytes(8 * uint64(r.spans))
		ops := c.spanOps
		if err := c.readTree(); err != nil {
			s.err = err
			return false
		}
		c.spanOps = ops // to be read again below
		c.readTimes()
	} else {
		c.skipTimes(r.spans)
	}
	may := worst == tracestore.Yes
	i := 0
	for k := range r.groups {
		resource := c.t.pairs[r.groups[k].pair].resource
		for range r.groups[k].spans {
			op := c.operation(&c.spanOps, recordSpan)
			if op < 0 {
				return false
			}
			if !may && s.verdicts[op] == tracestore.Maybe {
				facts := spanFacts{op: &s.t.operations[op], resource: resource, times: s.times, known: s.timed}
				if s.timed {
					s.times.SetStartTimestamp(pcommon.Timestamp(r.times.starts[i]))
					s.times.SetEndTimestamp(pcommon.Timestamp(r.times.ends[i]))
				}
				may = s.judge(s.conditions, &facts) != tracestore.No
			}
			c.skipRecord(op)
			i++
		}
	}
	c.release++
	return may
}

// judge says what the facts say of the conditions. It recurses as deep as they are nested.
func (s *scan) judge(c *tracestore.SpanConditions, f *spanFacts) tracestore.Verdict {
	v := tracestore.Yes
	also := func(other tracestore.Verdict) { v = min(v, other) }
	if c.Kind != nil {
		also(verdictOf(int32(f.op.kind) == int32(*c.Kind)))
	}
	if c.Errors != nil {
		also(verdictOf((int32(f.op.status) == int32(ptrace.StatusCodeError)) == *c.Errors))
	}
	if c.Service != "" {
		also(max(s.is(f.op.service, c.Service), s.annotated(f.op, conventions.AttrService, c.Service)))
	}
	if c.Operation != "" {
		also(max(s.is(f.op.name, c.Operation), s.annotated(f.op, conventions.AttrOperation, c.Operation)))
	}
	if c.Category != "" {
		also(s.annotated(f.op, conventions.AttrCategory, c.Category))
	}
	for i := range c.Attributes {
		if v == tracestore.No {
			return v
		}
		also(s.attribute(&c.Attributes[i], f))
	}
	if c.MinDuration > 0 || c.MaxDuration > 0 {
		also(durationVerdict(c, f))
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
	return verdictOf((c.MinDuration <= 0 || d >= c.MinDuration) && (c.MaxDuration <= 0 || d <= c.MaxDuration))
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

func verdictOf(holds bool) tracestore.Verdict {
	if holds {
		return tracestore.Yes
	}
	return tracestore.No
}

func (s *scan) is(text int32, want string) tracestore.Verdict {
	return verdictOf(string(s.t.texts.at(text)) == want)
}

// annotated says whether an attribute of the span is this text.
func (s *scan) annotated(op *operationInfo, key, want string) tracestore.Verdict {
	slot := s.slot(op, key)
	if slot == nil || s.t.columns[slot.column].kind != kindString {
		return tracestore.No
	}
	return s.equal(slot, want)
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
			case tracestore.OpEqual:
				return s.equal(slot, c.Text)
			case tracestore.OpExists:
				return tracestore.Yes
			case tracestore.OpNotExists:
				return tracestore.No
			}
			return tracestore.Maybe
		}
		if c.Scope == tracestore.ScopeSpan {
			return verdictOf(c.Op == tracestore.OpNotExists)
		}
	}
	if f.resource == unknownResource {
		return tracestore.Maybe
	}
	value, ok := s.resourceAttributes(f.resource).Get(c.Key)
	switch c.Op {
	case tracestore.OpEqual:
		return verdictOf(ok && value.AsString() == c.Text)
	case tracestore.OpExists:
		return verdictOf(ok)
	case tracestore.OpNotExists:
		return verdictOf(!ok)
	}
	if !ok {
		return tracestore.No
	}
	return tracestore.Maybe
}

// equal says whether the slot's value reads as a text.
func (s *scan) equal(slot *slotInfo, want string) tracestore.Verdict {
	if s.t.columns[slot.column].kind != kindString {
		return tracestore.Maybe
	}
	if !slot.varies {
		return s.is(slot.text, want)
	}
	id := columnText{slot.column, want}
	may, ok := s.columns[id]
	if !ok {
		may = s.mayStand(slot.column, want)
		s.columns[id] = may
	}
	if may {
		return tracestore.Maybe
	}
	return tracestore.No
}

// mayStand says whether a string may be among the values of a column: in its dictionary, or inline.
func (s *scan) mayStand(column int32, want string) bool {
	c, err := s.b.openColumn(int(column), s.t.columns[column])
	if err != nil {
		s.err = err
		return true
	}
	for i := range c.dictionary.spans {
		if string(c.dictionary.at(int32(i))) == want {
			return true
		}
	}
	if bytes.Contains(c.streams[columnWhole], []byte(want)) {
		return true
	}
	if len(c.streams[columnTemplates]) == 0 {
		return false
	}
	t := templater{}
	if !t.split(want) {
		return false // it would stand whole
	}
	for i := range s.t.templates {
		if sameShape(s.t.templates[i].text, t.template) {
			return true
		}
	}
	return false
}

// sameShape says whether a template may be made of what the other one is made of: an id is a place in one release and a number in
// another.
func sameShape(a, b []byte) bool {
	return bytes.Equal(anonymous(a), anonymous(b))
}

func anonymous(template []byte) []byte {
	return bytes.ReplaceAll(template, []byte{phHex, '0' + 16}, []byte{phSpan})
}

// resourceAttributes are those of an entity.
func (s *scan) resourceAttributes(entity int32) pcommon.Map {
	if attrs, ok := s.resources[entity]; ok {
		return attrs
	}
	otlp := s.t.entities[entity].otlp
	resource := append(appendTagged(nil, tagResource, len(otlp)), otlp...)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(append(appendTagged(nil, tagRepeated, len(resource)), resource...))
	if err != nil {
		s.err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		return pcommon.NewMap()
	}
	attrs := td.ResourceSpans().At(0).Resource().Attributes()
	if s.resources == nil {
		s.resources = make(map[int32]pcommon.Map)
	}
	s.resources[entity] = attrs
	return attrs
}
