package block

import (
	"fmt"
	"slices"
)

// tables are what the spans of a body refer to. They hold hardly a pointer: a body is mostly opened for a single trace.
type tables struct {
	texts      textList
	columns    []columnInfo
	operations []operationInfo
	slots      []slotInfo // of all operations
	varying    []int32    // columns of their varying slots
	entities   []entityInfo
	pairs      []pairInfo
	templates  []templateInfo
}

// textList is the strings of a stream.
type textList struct {
	data  []byte
	spans []textSpan
}

type textSpan struct{ from, to int }

func (l *textList) at(i int32) []byte { return l.data[l.spans[i].from:l.spans[i].to] }

// readTexts reads a stream of strings, into the room of spans.
func readTexts(s byteStream, spans []textSpan) textList {
	l := textList{data: s.buf, spans: slices.Grow(spans[:0], len(s.buf)/16)}
	for s.len() > 0 {
		n := len(s.text())
		l.spans = append(l.spans, textSpan{s.at - n, s.at})
	}
	return l
}

// pick reads the number of a string.
func (l *textList) pick(s *byteStream) int32 { return int32(s.below(len(l.spans))) }

type columnInfo struct {
	key      int32 // text
	kind     kind
	forecast forecast
}

type operationInfo struct {
	shape
	service, name  int32 // texts
	slots, varying section
}

type slotInfo struct {
	column int32
	text   int32
	number uint64
	varies bool
}

// entityInfo is a resource or a scope. Where released is above 0, the attribute that says when the call was released is missing from otlp at released − 1.
type entityInfo struct {
	url, otlp []byte
	released  int
}

type pairInfo struct{ resource, scope int32 }

type templateInfo struct {
	text      []byte
	variables []byte // placeholders; of phHex 0x80 | digits
}

func (b *Body) readTables() (*tables, error) {
	if b.tables != nil {
		return b.tables, nil
	}
	var texts, templates, entities, columns, operations, pairs byteStream
	err := b.byteStreams([]streamOf{
		{streamTexts, &texts},
		{streamTemplates, &templates},
		{streamEntities, &entities},
		{streamColumns, &columns},
		{streamOperations, &operations},
		{streamPairs, &pairs},
	})
	if err != nil {
		return nil, err
	}
	t := tablesPool.Get().(*tables)
	t.texts, t.columns = readTexts(texts, t.texts.spans), resize(t.columns, b.numColumns)
	for i := range t.columns {
		c := &t.columns[i]
		c.key = t.texts.pick(&columns)
		c.kind, c.forecast = kind(columns.byte()), forecast(columns.byte())
		if c.kind == 0 || c.kind >= kindEnd || c.forecast >= forecastEnd {
			b.failed = true
		}
	}
	for entities.len() > 0 {
		x := entityInfo{url: entities.text()}
		if b.version > 1 {
			x.released = entities.count(entities.len())
		}
		if x.otlp = entities.text(); x.released > len(x.otlp)+1 {
			b.failed = true
		}
		t.entities = append(t.entities, x)
	}
	for pairs.len() > 0 && !b.failed {
		t.pairs = append(t.pairs, pairInfo{int32(pairs.below(len(t.entities))), int32(pairs.below(len(t.entities)))})
	}
	for templates.len() > 0 {
		info, ok := readTemplate(templates.text())
		b.failed = b.failed || !ok
		t.templates = append(t.templates, info)
	}
	t.readOperations(&operations, b.operations)
	if b.failed || operations.len() > 0 || columns.len() > 0 {
		b.failed = false
		return nil, fmt.Errorf("%w: tables", ErrCorrupt)
	}
	b.tables = t
	return t, nil
}

// close keeps the room for another body.
func (t *tables) close() {
	*t = tables{
		texts: textList{spans: emptied(t.texts.spans)}, columns: emptied(t.columns), operations: emptied(t.operations), slots: emptied(t.slots),
		varying: emptied(t.varying), entities: emptied(t.entities), pairs: emptied(t.pairs), templates: emptied(t.templates),
	}
	tablesPool.Put(t)
}

func (t *tables) readOperations(s *byteStream, n int) {
	if n > s.len() {
		*s.failed = true
	}
	if *s.failed {
		return
	}
	t.operations = resize(t.operations, n)
	t.slots, t.varying = slices.Grow(t.slots, s.len()/2), slices.Grow(t.varying, s.len()/4)
	for i := range t.operations {
		t.readOperation(&t.operations[i], s)
		if *s.failed {
			return
		}
	}
}

func (t *tables) readOperation(o *operationInfo, s *byteStream) {
	*o = operationInfo{}
	o.record, o.bits = record(s.byte()), s.byte()
	o.kind, o.status, o.flags = uint32(s.uvarint()), uint32(s.uvarint()), uint32(s.uvarint())
	if o.record >= recordEnd || o.bits&^allBits != 0 {
		*s.failed = true
	}
	if o.record == recordSpan {
		o.service = t.texts.pick(s)
	}
	o.name = t.texts.pick(s)
	o.slots.from, o.varying.from = int32(len(t.slots)), int32(len(t.varying))
	var odd [2]bool
	n := s.count(s.len())
	for range n {
		at := s.below(2 * len(t.columns))
		if *s.failed {
			return
		}
		slot := slotInfo{column: int32(at >> 1), varies: at&1 == 1}
		k := t.columns[slot.column].kind
		if k == kindState || k == kindMessage {
			if odd[k-kindState] {
				*s.failed = true // a record has one
			}
			odd[k-kindState] = true
		}
		switch {
		case slot.varies:
			if k == kindEmpty {
				*s.failed = true
			}
			t.varying = append(t.varying, slot.column)
		case k == kindInt || k == kindBool:
			slot.number = uint64(unzigzag(s.uvarint()))
		case k == kindString || k == kindState || k == kindMessage:
			slot.text = t.texts.pick(s)
		case k != kindEmpty:
			*s.failed = true
		}
		t.slots = append(t.slots, slot)
	}
	o.slots.to, o.varying.to = int32(len(t.slots)), int32(len(t.varying))
}

// slotsOf and varyingOf are those of an operation.
func (t *tables) slotsOf(o *operationInfo) []slotInfo { return t.slots[o.slots.from:o.slots.to] }

func (t *tables) varyingOf(o *operationInfo) []int32 { return t.varying[o.varying.from:o.varying.to] }

// readTemplate finds a template's placeholders.
func readTemplate(text []byte) (templateInfo, bool) {
	t := templateInfo{text: text}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= phEnd:
		case c == phHex:
			if i++; i == len(text) || text[i] <= '0' || text[i] > '0'+16 {
				return t, false
			}
			t.variables = append(t.variables, 0x80|(text[i]-'0'))
		case c == phShort || c == phDecimal || c == phUUID || c == phIPv4 || c == phSpan:
			t.variables = append(t.variables, c)
		default:
			return t, false
		}
	}
	return t, true
}
