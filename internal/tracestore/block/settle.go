package block

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Settle decides what Judge left open about the same conditions: it reads all attributes of the releases whose verdict is Maybe, and compares those that are
// asked for where they pass by. Maybe stays where such an attribute is an array, a map, bytes or empty, or one that joining writes. The error is ErrCorrupt.
func (b *Body) Settle(verdicts []tracestore.Verdict, conditions *tracestore.SpanConditions) error {
	if !slices.Contains(verdicts, tracestore.Maybe) {
		return nil
	}
	c, err := b.open()
	if err != nil {
		return err
	}
	s := newScan(b, b.tables, conditions)
	defer s.close()
	s.exact, s.timed = true, true
	s.judgeOperations()
	c.watched = s.watched()
	defer func() { c.watched = nil }()
	if b.buf == nil {
		b.buf = codec.TakeBuffer(64 << 10)
	}
	for i, v := range verdicts {
		if v != tracestore.Maybe {
			continue
		}
		for _, t := range s.tests {
			t.verdicts = t.verdicts[:0]
		}
		buf, err := b.AppendOTLP(b.buf[:0], i, pcommon.TraceID{}) // conditions ask for no id
		if err != nil {
			return err
		}
		b.buf = buf
		verdicts[i] = s.settled(c)
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// settled is the verdict on the release that the cursor has just read.
func (s *scan) settled(c *cursor) tracestore.Verdict {
	r := &c.current
	best, span := tracestore.No, 0
	for k := range r.groups {
		resource := s.t.pairs[r.groups[k].pair].resource
		for range r.groups[k].spans {
			if op := r.ops[span]; s.verdicts[op] != tracestore.No {
				s.times.SetStartTimestamp(pcommon.Timestamp(r.times.starts[span]))
				s.times.SetEndTimestamp(pcommon.Timestamp(r.times.ends[span]))
				best = max(best, s.judge(s.conditions, &spanFacts{
					op: &s.t.operations[op], span: span, resource: resource, times: s.times, known: true,
				}))
			}
			if best == tracestore.Yes || s.err != nil {
				return best
			}
			span++
		}
	}
	return best
}

// watched are the tests of attributes that are asked for, by the columns in which their values may stand.
func (s *scan) watched() [][]*columnTest {
	watched := make([][]*columnTest, len(s.t.columns))
	watch := func(c *tracestore.AttributeCondition) {
		for i := range s.t.columns {
			if info := &s.t.columns[i]; info.kind < kindEmpty && string(s.t.texts.at(info.key)) == c.Key {
				t := &columnTest{condition: c}
				s.tests[testID{int32(i), c}] = t
				watched[i] = append(watched[i], t)
			}
		}
	}
	var walk func(c *tracestore.SpanConditions)
	walk = func(c *tracestore.SpanConditions) {
		for key, want := range map[string]string{
			conventions.AttrService: c.Service, conventions.AttrOperation: c.Operation, conventions.AttrCategory: c.Category,
		} {
			if want != "" {
				watch(s.annotation(key, want))
			}
		}
		for i := range c.Attributes {
			watch(&c.Attributes[i])
		}
		for i := range c.And {
			walk(&c.And[i])
		}
		for i := range c.Or {
			walk(&c.Or[i])
		}
		if c.Not != nil {
			walk(c.Not)
		}
	}
	walk(s.conditions)
	return watched
}

// note asks the test of a value of a span; the first of its key counts.
func (t *columnTest) note(span int, k kind, text []byte, number uint64) {
	if span < len(t.verdicts) {
		return
	}
	for len(t.verdicts) < span {
		t.verdicts = append(t.verdicts, tracestore.No)
	}
	holds := false
	if k.textual() {
		holds = textHolds(t.condition, text)
	} else {
		holds = numberHolds(t.condition, k, number)
	}
	t.verdicts = append(t.verdicts, tracestore.VerdictOf(holds))
}
