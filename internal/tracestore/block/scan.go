package block

import (
	"bytes"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Judge says of the releases whether one span meets all the conditions: it lowers their verdicts, which are as many as there are releases, and passes over
// those that are No already. Yes and No are certain, Maybe is for Settle. It looks at operations, then at whole columns, then at times, each only where what was
// looked at before leaves something open, and makes no span. The error is ErrCorrupt.
func (b *Body) Judge(verdicts []tracestore.Verdict, conditions *tracestore.SpanConditions) error {
	t, err := b.readTables()
	if err != nil {
		return err
	}
	s := newScan(b, t, conditions)
	defer s.close()
	possible := s.judgeOperations()
	if s.err != nil {
		return s.err
	}
	if !possible {
		clear(verdicts)
		return nil
	}
	if s.cursor, err = openCursor(b, t, (*cursor).openOperations); err != nil {
		return err
	}
	for i := range verdicts {
		v := s.next(verdicts[i])
		if b.failed || s.err != nil {
			b.failed = false
			return fmt.Errorf("%w: release %d", ErrCorrupt, i)
		}
		verdicts[i] = v
	}
	return nil
}

// scan is one look at a body for conditions.
type scan struct {
	b          *Body
	t          *tables
	cursor     *cursor // has the resources and the operations of spans
	values     *cursor // follows where values of columns are asked for: it knows how many come before
	timesOf    *cursor // follows where times are asked for
	conditions *tracestore.SpanConditions
	timed      bool                 // the conditions ask for durations
	verdicts   []tracestore.Verdict // by operation, whatever the resource and the duration
	keys       map[string]int32     // text of an attribute's key, −1 where there is none
	tests      map[testID]*columnTest
	resources  map[int32]pcommon.Map
	// resourceKeys says of keys whether they may stand on resources.
	resourceKeys map[string]bool
	times        ptrace.Span  // scratch
	records      []scanRecord // of the release, where a value of one of its spans is in question
	recordsOf    int          // that release
	spans        []int32      // operations of its spans
	counts       []int        // spans of the releases up to it
	open         []int32      // its spans that are in question
	// annotations are the conditions of which services, operations and categories are made.
	annotations map[[2]string]*tracestore.AttributeCondition
	exact       bool // the tests are asked of all values by Settle
	err         error
}

func newScan(b *Body, t *tables, conditions *tracestore.SpanConditions) *scan {
	return &scan{
		b: b, t: t, conditions: conditions, timed: usesDuration(conditions), times: ptrace.NewSpan(), recordsOf: -1,
		keys: make(map[string]int32), tests: make(map[testID]*columnTest), resourceKeys: make(map[string]bool),
		annotations: make(map[[2]string]*tracestore.AttributeCondition),
	}
}

// judgeOperations says of each operation whether its spans may meet the conditions, and whether some may.
func (s *scan) judgeOperations() (possible bool) {
	s.verdicts = make([]tracestore.Verdict, len(s.t.operations))
	for i := range s.t.operations {
		if op := &s.t.operations[i]; op.record == recordSpan {
			s.verdicts[i] = s.judge(s.conditions, &spanFacts{op: op, span: unknownSpan, resource: unknownResource})
			possible = possible || s.verdicts[i] != tracestore.No
		}
	}
	return possible
}

// close keeps the room for another body.
func (s *scan) close() {
	for _, c := range []*cursor{s.cursor, s.values, s.timesOf} {
		if c != nil {
			c.close()
		}
	}
	for _, test := range s.tests {
		if test.reader != nil {
			test.reader.close()
		}
	}
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

// next is the verdict on the next release, which lowers the one that is known, and passes over it.
func (s *scan) next(known tracestore.Verdict) tracestore.Verdict {
	c := s.cursor
	c.readGroups()
	r := &c.current
	ops := c.spanOps // where they begin
	r.ids = c.spanIDs.bytes(8 * uint64(r.spans))
	s.counts = append(s.counts, r.spans)
	if known == tracestore.No {
		c.spanOps.bytes(uint64(c.width * r.spans))
		c.release++
		return tracestore.No
	}
	best := s.best()
	if best == tracestore.Maybe && !s.b.failed { // operations alone do not tell
		best = s.anySpan(false)
		if best == tracestore.Maybe && s.timed && s.readTimes(ops) {
			best = s.anySpan(true)
		}
	}
	c.release++
	return min(known, best)
}

// best is the best verdict among the operations of the release's spans, and notes these.
func (s *scan) best() tracestore.Verdict {
	c := s.cursor
	best := tracestore.No
	s.spans, s.open = s.spans[:0], s.open[:0]
	for i := range c.current.spans {
		op := c.operation(&c.spanOps, recordSpan)
		if op < 0 {
			return tracestore.No
		}
		s.spans = append(s.spans, op)
		v := s.verdicts[op]
		if v == tracestore.Maybe {
			s.open = append(s.open, int32(i))
		}
		best = max(best, v)
	}
	return best
}

// readTimes reads the times of the release's spans, whose operations begin at ops.
func (s *scan) readTimes(ops byteStream) bool {
	if s.timesOf == nil {
		if s.timesOf, s.err = openCursor(s.b, s.t, (*cursor).openTimes); s.err != nil {
			return false
		}
	}
	c := s.timesOf
	for ; c.release < s.cursor.release; c.release++ {
		c.skipTimes(s.counts[c.release])
	}
	c.release++
	c.current.spans, c.spanOps = s.cursor.current.spans, ops
	if s.err = c.readTree(); s.err != nil {
		return false
	}
	c.readTimes()
	return !s.b.failed
}

// anySpan is the best verdict on the release's spans that are in question, and keeps those that still are.
func (s *scan) anySpan(timed bool) tracestore.Verdict {
	r := &s.cursor.current
	best := tracestore.No
	still := s.open[:0]
	group, end := 0, 0
	for _, i := range s.open {
		for end <= int(i) {
			end += r.groups[group].spans
			group++
		}
		facts := spanFacts{op: &s.t.operations[s.spans[i]], span: int(i), resource: s.t.pairs[r.groups[group-1].pair].resource, times: s.times, known: timed}
		if timed {
			times := &s.timesOf.current.times
			s.times.SetStartTimestamp(pcommon.Timestamp(times.starts[i]))
			s.times.SetEndTimestamp(pcommon.Timestamp(times.ends[i]))
		}
		v := s.judge(s.conditions, &facts)
		if s.b.failed || s.err != nil {
			return tracestore.No
		}
		if best = max(best, v); best == tracestore.Yes {
			return best
		}
		if v == tracestore.Maybe {
			still = append(still, i)
		}
	}
	s.open = still
	return best
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
	return s.slotHolds(s.annotation(key, want), slot, f)
}

// annotation is the condition that an attribute is a text.
func (s *scan) annotation(key, want string) *tracestore.AttributeCondition {
	id := [2]string{key, want}
	c := s.annotations[id]
	if c == nil {
		c = &tracestore.AttributeCondition{Key: key, Op: tracestore.OpEqual, Text: want}
		s.annotations[id] = c
	}
	return c
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
	if c.Key == conventions.AttrReleasedAt { // joining writes it
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
			x := &s.t.entities[i]
			may = may || x.released > 0 && key == conventions.AttrReleasedAt || bytes.Contains(x.otlp, []byte(key))
		}
		s.resourceKeys[key] = may
	}
	return may
}

// resourceAttributes are those of an entity, but when it was released.
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

// resourceAttributes are those of an entity that is a resource, without the time of release where resources differ by that. The error is ErrCorrupt.
func (t *tables) resourceAttributes(entity int32) (pcommon.Map, error) {
	otlp := t.entities[entity].otlp
	resource := append(appendTagged(nil, tagResource, len(otlp)), otlp...)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(append(appendTagged(nil, tagRepeated, len(resource)), resource...))
	if err != nil {
		return pcommon.Map{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return td.ResourceSpans().At(0).Resource().Attributes(), nil
}
