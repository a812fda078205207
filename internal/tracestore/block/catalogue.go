package block

import (
	"bytes"
	"cmp"
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Attribute receives an attribute that so many spans have, or are of a resource that has it. The value is valid during the call.
type Attribute = func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int)

// AttributeKeys calls f for the attributes that stand in catalogues, as tracestore.EachAttribute does for releases, but for those of many spans at a
// time, and with one value of each type. Releases that are not wanted are passed over. The error is ErrCorrupt.
func (b *Body) AttributeKeys(wanted func(release int) bool, f Attribute) error {
	c, err := newCatalogue(b, "")
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.count(wanted); err != nil {
		return err
	}
	return c.give(f)
}

// exactReleases is how many releases a block has at most of which AttributeValues reads all values, whatever it takes.
const exactReleases = 64

// AttributeValues likewise is about one key, with all its values. In a block of more than 64 releases some text is left out where it occurs first: of some of its
// parts it is only known that they stand in another column, too. So some values are missing that only one release has.
func (b *Body) AttributeValues(key string, wanted func(release int) bool, f Attribute) error {
	c, err := newCatalogue(b, key)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.count(wanted); err != nil {
		return err
	}
	if !c.missed || b.releases > exactReleases {
		return c.give(f)
	}
	for i := range b.releases {
		if !wanted(i) {
			continue
		}
		td, err := b.Traces(i, pcommon.TraceID{}) // which is no attribute
		if err != nil {
			return err
		}
		tracestore.EachAttribute(td, func(scope tracestore.AttributeScope, k string, value pcommon.Value, spans int) {
			if k == key {
				f(scope, k, value, spans)
			}
		})
	}
	return nil
}

// catalogue counts attributes of a block by operations and whole columns, and makes no span.
type catalogue struct {
	b      *Body
	t      *tables
	cursor *cursor // of which few streams are open
	key    string  // the only one; empty for all, whose values do not matter

	spans     []int // of each operation
	resources []int // spans of each entity
	columns   []*columnCount
	read      [][]*columnCount // those of which a record of each operation has values, in their order
	missed    bool             // the value of a span is not known
}

// columnCount is how many spans have which values of a column.
type columnCount struct {
	reader  *columnReader
	codes   []int          // by the number in the dictionary
	inline  map[string]int // the other strings; of kindAny their first byte, which tells the type
	numbers map[uint64]int
	last    int // number of the last string, or one of these:
}

const (
	inlineText  = -1
	unknownText = -2
)

func newCatalogue(b *Body, key string) (*catalogue, error) {
	t, err := b.readTables()
	if err != nil {
		return nil, err
	}
	walk, err := openCursor(b, t, func(c *cursor) error { return cmp.Or(c.openOperations(), c.openRecords()) })
	if err != nil {
		return nil, err
	}
	c := &catalogue{
		b: b, t: t, cursor: walk, key: key,
		spans: make([]int, len(t.operations)), resources: make([]int, len(t.entities)),
		columns: make([]*columnCount, len(t.columns)), read: make([][]*columnCount, len(t.operations)),
	}
	for i := range t.columns {
		if !c.reads(&t.columns[i]) {
			continue
		}
		count := &columnCount{inline: make(map[string]int), numbers: make(map[uint64]int)}
		if count.reader, err = b.openColumn(i, t.columns[i]); err != nil {
			return nil, err
		}
		count.codes = make([]int, len(count.reader.dictionary.spans))
		c.columns[i] = count
	}
	for op := range t.operations {
		for _, column := range t.varyingOf(&t.operations[op]) {
			if count := c.columns[column]; count != nil {
				c.read[op] = append(c.read[op], count)
			}
		}
	}
	return c, nil
}

// close keeps the room for another body.
func (c *catalogue) close() {
	for _, column := range c.columns {
		if column != nil {
			column.reader.close()
		}
	}
	c.cursor.close()
}

// lists says whether the column's key is asked for.
func (c *catalogue) lists(info *columnInfo) bool {
	key := string(c.t.texts.at(info.key))
	return info.kind <= kindAny && info.forecast == forecastNone && (c.key == "" || key == c.key) && tracestore.Catalogued(key)
}

// reads says whether the column's values matter: of all keys where they tell the type.
func (c *catalogue) reads(info *columnInfo) bool {
	return c.lists(info) && info.kind != kindEmpty && (c.key != "" || info.kind == kindAny)
}

// count goes through the records.
func (c *catalogue) count(wanted func(release int) bool) error {
	r := &c.cursor.current
	for i := range c.b.releases {
		c.cursor.readGroups()
		r.ids = c.cursor.spanIDs.bytes(8 * uint64(r.spans))
		counts := wanted(i) && !c.b.failed
		for k := range r.groups {
			if counts {
				c.resources[c.t.pairs[r.groups[k].pair].resource] += r.groups[k].spans
			}
		}
		c.cursor.countRecords(r.spans, func(op int32, span int) {
			own := counts && span >= 0 // values of events and links stand in the same columns
			if own {
				c.spans[op]++
			}
			c.record(op, i, own)
		})
		if c.b.failed {
			c.b.failed = false
			return fmt.Errorf("%w: release %d", ErrCorrupt, i)
		}
	}
	return nil
}

func (c *catalogue) record(op int32, release int, counts bool) {
	for _, column := range c.read[op] {
		if column.reader.kind.textual() {
			c.text(column, release, counts)
		} else if n := column.reader.number(); counts {
			column.numbers[n]++
		}
		if c.b.failed {
			return
		}
	}
}

func (c *catalogue) text(column *columnCount, release int, counts bool) {
	r := column.reader
	switch code := r.codes.uvarint(); {
	case code == codeSame:
		c.b.failed = c.b.failed || r.lastRelease != release
	case code == codeInline:
		others := memory{blind: true}
		r.own = r.inline(r.own[:0], c.t.templates, &others, c.cursor.current.ids)
		column.last = inlineText
		if others.unknown && r.kind != kindAny { // a type is known anyway
			column.last = unknownText
		}
	case code-codeFirst < uint64(len(column.codes)):
		column.last = int(code - codeFirst)
	default:
		c.b.failed = true
	}
	r.lastRelease = release
	switch {
	case !counts || c.b.failed:
	case column.last == unknownText:
		c.missed = true
	case column.last >= 0:
		column.codes[column.last]++
	case r.kind == kindAny:
		column.inline[string(r.own[:min(len(r.own), 1)])]++
	default:
		column.inline[string(r.own)]++
	}
}

// give calls f with what was counted.
func (c *catalogue) give(f Attribute) error {
	for entity, spans := range c.resources {
		if spans == 0 {
			continue
		}
		attrs, err := c.t.resourceAttributes(int32(entity))
		if err != nil {
			return err
		}
		for key, value := range attrs.All() {
			if (c.key == "" || key == c.key) && tracestore.Catalogued(key) {
				f(tracestore.ScopeResource, key, value, spans)
			}
		}
	}
	for op, spans := range c.spans {
		if spans == 0 {
			continue
		}
		for _, slot := range c.t.slotsOf(&c.t.operations[op]) {
			info := &c.t.columns[slot.column]
			if !c.lists(info) || slot.varies && c.columns[slot.column] != nil {
				continue
			}
			f(tracestore.ScopeSpan, string(c.t.texts.at(info.key)), c.t.constant(&slot), spans)
		}
	}
	for i, column := range c.columns {
		if column != nil {
			column.give(string(c.t.texts.at(c.t.columns[i].key)), f)
		}
	}
	return nil
}

// constant is a slot's value, or one of its kind where it varies.
func (t *tables) constant(s *slotInfo) pcommon.Value {
	kind := t.columns[s.column].kind
	if kind == kindString && !s.varies {
		return textValue(kind, t.texts.at(s.text))
	}
	if kind == kindString {
		return textValue(kind, nil)
	}
	return numberValue(kind, s.number)
}

func (c *columnCount) give(key string, f Attribute) {
	kind := c.reader.kind
	for n, spans := range c.numbers {
		f(tracestore.ScopeSpan, key, numberValue(kind, n), spans)
	}
	for text, spans := range c.inline {
		f(tracestore.ScopeSpan, key, textValue(kind, []byte(text)), spans)
	}
	for i, spans := range c.codes {
		if spans > 0 {
			f(tracestore.ScopeSpan, key, textValue(kind, c.reader.dictionary.at(int32(i))), spans)
		}
	}
}

// textValue is a string, or of kindAny an empty value of its type. What is not known of a text is put down as zeros; the tag of maps is a digit, the others are not,
// and never part of a number.
func textValue(k kind, text []byte) pcommon.Value {
	switch {
	case k != kindAny:
		return pcommon.NewValueStr(string(text))
	case bytes.HasPrefix(text, []byte{tagAnyArray}):
		return pcommon.NewValueSlice()
	case bytes.HasPrefix(text, []byte{tagAnyBytes}):
		return pcommon.NewValueBytes()
	}
	return pcommon.NewValueMap()
}

func numberValue(k kind, n uint64) pcommon.Value {
	switch k {
	case kindInt:
		return pcommon.NewValueInt(int64(n))
	case kindDouble:
		return pcommon.NewValueDouble(math.Float64frombits(n))
	case kindBool:
		return pcommon.NewValueBool(n != 0)
	}
	return pcommon.NewValueEmpty()
}
