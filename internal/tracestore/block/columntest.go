package block

import (
	"bytes"
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// columnTest is an attribute condition on the values of one column. A scan asks it of single spans; Settle of all, and reads no column for it.
type columnTest struct {
	condition *tracestore.AttributeCondition
	reader    *columnReader
	perOp     []int32 // values of the column in a record of each operation

	code   uint64 // of a text that is asked for, where the dictionary has it
	shapes []bool // by template: whether that text may be of it
	inline bool   // whether that text may stand inline

	release  int // of which verdicts are
	verdicts []tracestore.Verdict
}

type testID struct {
	column    int32
	condition *tracestore.AttributeCondition
}

// scanRecord is a span, event or link of a release.
type scanRecord struct {
	op   int32
	span int // place, or −1 of events and links
}

// noCode is no number of a string in a dictionary.
const noCode = codeSame

// slotHolds says whether the condition, which is not about existence, holds on the slot's value.
func (s *scan) slotHolds(c *tracestore.AttributeCondition, slot *slotInfo, f *spanFacts) tracestore.Verdict {
	info := &s.t.columns[slot.column]
	switch {
	case !slot.varies && info.kind == kindString:
		return tracestore.VerdictOf(textHolds(c, s.t.texts.at(slot.text)))
	case !slot.varies && (info.kind == kindInt || info.kind == kindBool):
		return tracestore.VerdictOf(numberHolds(c, info.kind, slot.number))
	case info.kind == kindAny || info.kind == kindEmpty:
		return tracestore.Maybe
	case s.exact && f.span != unknownSpan:
		if t := s.tests[testID{slot.column, c}]; t != nil && f.span < len(t.verdicts) {
			return t.verdicts[f.span]
		}
		return tracestore.Maybe
	case s.exact || info.forecast != forecastNone:
		return tracestore.Maybe
	}
	t := s.test(slot.column, c)
	switch {
	case s.err != nil:
		return tracestore.Maybe
	case c.Op == tracestore.OpEqual && info.kind == kindString && t.code == noCode && !t.inline:
		return tracestore.No
	case f.span == unknownSpan:
		return tracestore.Maybe
	}
	s.run(t)
	if s.b.failed {
		return tracestore.Maybe
	}
	return t.verdicts[f.span]
}

func textHolds(c *tracestore.AttributeCondition, text []byte) bool {
	switch c.Op {
	case tracestore.OpEqual:
		return string(text) == c.Text
	case tracestore.OpNotEqual:
		return string(text) != c.Text
	case tracestore.OpRegex:
		return c.Regex != nil && c.Regex.Match(text)
	}
	n, err := strconv.ParseFloat(string(text), 64)
	return err == nil && c.Compares(n)
}

func numberHolds(c *tracestore.AttributeCondition, k kind, number uint64) bool {
	switch c.Op {
	case tracestore.OpEqual, tracestore.OpNotEqual, tracestore.OpRegex:
		return textHolds(c, []byte(numberText(k, number)))
	}
	switch k {
	case kindInt:
		return c.Compares(float64(int64(number)))
	case kindDouble:
		return c.Compares(math.Float64frombits(number))
	}
	return false
}

func numberText(k kind, number uint64) string {
	switch k {
	case kindInt:
		return strconv.FormatInt(int64(number), 10)
	case kindBool:
		return strconv.FormatBool(number != 0)
	}
	return pcommon.NewValueDouble(math.Float64frombits(number)).AsString()
}

// test is the test of a column; s.err says what is wrong where it is none.
func (s *scan) test(column int32, c *tracestore.AttributeCondition) *columnTest {
	id := testID{column, c}
	if t := s.tests[id]; t != nil {
		return t
	}
	t := &columnTest{condition: c, code: noCode, release: -1}
	s.tests[id] = t
	if t.reader, s.err = s.b.openColumn(int(column), s.t.columns[column]); s.err != nil {
		return t
	}
	t.perOp = make([]int32, len(s.t.operations))
	for i := range s.t.operations {
		for _, of := range s.t.varyingOf(&s.t.operations[i]) {
			if of == column {
				t.perOp[i]++
			}
		}
	}
	if c.Op == tracestore.OpEqual && s.t.columns[column].kind == kindString {
		t.look(c.Text, s.t.templates)
	}
	return t
}

// look finds out where a text may stand in the column.
func (t *columnTest) look(want string, templates []templateInfo) {
	for i := range t.reader.dictionary.spans {
		if string(t.reader.dictionary.at(int32(i))) == want {
			t.code = codeFirst + uint64(i)
		}
	}
	t.shapes = make([]bool, len(templates))
	var parts templater
	if !parts.split(want) { // it stands whole
		t.inline = bytes.Contains(t.reader.streams[columnWhole], []byte(want))
		return
	}
	shape := anonymous(parts.template)
	for i := range templates {
		t.shapes[i] = bytes.Equal(anonymous(templates[i].text), shape)
		t.inline = t.inline || t.shapes[i]
	}
	t.inline = t.inline && len(t.reader.streams[columnTemplates]) > 0
}

// anonymous is the template with ids as numbers: an id is a place in a release that has its span, and a number in another.
func anonymous(template []byte) []byte {
	return bytes.ReplaceAll(template, []byte{phHex, '0' + 16}, []byte{phSpan})
}

// list lists the records of the release that the scan is at, and counts in values.before what lies before it.
func (s *scan) list() bool {
	c := s.cursor
	if s.recordsOf == c.release {
		return true
	}
	if s.values == nil {
		if s.values, s.err = openCursor(s.b, s.t, (*cursor).openRecords); s.err != nil {
			return false
		}
	} else {
		for _, r := range s.records { // of the release that was listed last
			s.values.before[r.op]++
		}
	}
	v := s.values
	for v.release < c.release && !s.b.failed {
		v.countRecords(s.counts[v.release], nil)
	}
	s.records, s.recordsOf = s.records[:0], c.release
	v.countRecords(c.current.spans, func(op int32, span int) { s.records = append(s.records, scanRecord{op, span}) })
	for _, r := range s.records { // before has what comes before the release
		v.before[r.op]--
	}
	return !s.b.failed
}

// run asks the test of the release's spans, once.
func (s *scan) run(t *columnTest) {
	c := s.cursor
	if t.release == c.release || !s.list() {
		return
	}
	t.release = c.release
	ahead := 0
	for op, n := range s.values.before {
		ahead += n * int(t.perOp[op])
	}
	t.reader.seek(ahead, s.t.templates)
	t.verdicts = resize(t.verdicts, c.current.spans)
	for _, r := range s.records {
		for n := range t.perOp[r.op] {
			v := t.next(c, s.t.templates)
			if n == 0 && r.span >= 0 { // the first of its key counts
				t.verdicts[r.span] = v
			}
		}
		if s.b.failed {
			return
		}
	}
}

// next asks the test of the next value.
func (t *columnTest) next(c *cursor, templates []templateInfo) tracestore.Verdict {
	r := t.reader
	if !r.kind.textual() {
		return tracestore.VerdictOf(numberHolds(t.condition, r.kind, r.number()))
	}
	r.at++
	code := r.codes.uvarint()
	switch {
	case code == codeSame:
		if r.lastRelease != c.release {
			*r.failed = true
		}
		return r.lastVerdict
	case code == codeInline:
		r.lastVerdict = t.inlineHolds(c, templates)
	case code-codeFirst >= uint64(len(r.dictionary.spans)):
		*r.failed = true
	case t.condition.Op == tracestore.OpEqual:
		r.lastVerdict = tracestore.VerdictOf(code == t.code)
	default:
		r.lastVerdict = tracestore.VerdictOf(textHolds(t.condition, r.dictionary.at(int32(code-codeFirst))))
	}
	r.lastRelease = c.release
	return r.lastVerdict
}

// inlineHolds asks the test of an inline string. Its variables may refer to other columns, which are not read.
func (t *columnTest) inlineHolds(c *cursor, templates []templateInfo) tracestore.Verdict {
	r := t.reader
	if t.condition.Op == tracestore.OpEqual {
		peek := r.templates
		if n := peek.below(len(templates) + 1); n > 0 && !t.shapes[n-1] {
			r.skipInline(templates)
			return tracestore.No
		}
	}
	m := memory{blind: true}
	r.own = r.inline(r.own[:0], templates, &m, c.current.ids)
	if m.unknown {
		return tracestore.Maybe
	}
	return tracestore.VerdictOf(textHolds(t.condition, r.own))
}
