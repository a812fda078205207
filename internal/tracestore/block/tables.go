package block

import "fmt"

// tables are what the spans of a body refer to.
type tables struct {
	columns    []columnInfo
	operations []operationInfo
	entities   []entityInfo
	pairs      []pairInfo
	templates  []templateInfo
}

type columnInfo struct {
	key      []byte
	kind     kind
	forecast forecast
}

type operationInfo struct {
	shape
	service, name []byte
	slots         []slotInfo
	varying       []int32 // columns of the varying slots, in their order
}

type slotInfo struct {
	column int32
	varies bool
	text   []byte
	number uint64
}

type entityInfo struct{ url, otlp []byte }

type pairInfo struct{ resource, scope *entityInfo }

type templateInfo struct {
	text      []byte
	variables []byte // placeholders; of phHex 0x80 | digits
}

func (b *Body) readTables() (*tables, error) {
	if b.tables != nil {
		return b.tables, nil
	}
	var texts, templates, entities, columns, operations, pairs byteStream
	err := b.byteStreams(map[int]*byteStream{
		streamTexts: &texts, streamTemplates: &templates, streamEntities: &entities, streamColumns: &columns, streamOperations: &operations,
		streamPairs: &pairs,
	})
	if err != nil {
		return nil, err
	}
	t := &tables{columns: make([]columnInfo, b.numColumns)}
	list := readTexts(&texts)
	for i := range t.columns {
		c := &t.columns[i]
		c.key = pickText(&columns, list)
		c.kind, c.forecast = kind(columns.byte()), forecast(columns.byte())
		if c.kind == 0 || c.kind >= kindEnd || c.forecast >= forecastEnd {
			b.failed = true
		}
	}
	for len(entities.buf) > 0 {
		t.entities = append(t.entities, entityInfo{url: entities.text(), otlp: entities.text()})
	}
	for len(pairs.buf) > 0 && !b.failed {
		resource, scope := pairs.below(len(t.entities)), pairs.below(len(t.entities))
		if b.failed {
			break
		}
		t.pairs = append(t.pairs, pairInfo{&t.entities[resource], &t.entities[scope]})
	}
	for len(templates.buf) > 0 {
		info, ok := readTemplate(templates.text())
		b.failed = b.failed || !ok
		t.templates = append(t.templates, info)
	}
	if b.operations > len(operations.buf) {
		b.failed = true
	} else {
		t.operations = make([]operationInfo, b.operations)
		for i := range t.operations {
			t.operations[i].read(&operations, list, t.columns)
		}
	}
	if b.failed || len(operations.buf) > 0 || len(columns.buf) > 0 {
		b.failed = false
		return nil, fmt.Errorf("%w: tables", ErrCorrupt)
	}
	b.tables = t
	return t, nil
}

func readTexts(s *byteStream) (list [][]byte) {
	for len(s.buf) > 0 {
		list = append(list, s.text())
	}
	return list
}

func pickText(s *byteStream, list [][]byte) []byte {
	if at := s.below(len(list)); at < len(list) {
		return list[at]
	}
	return nil
}

func (o *operationInfo) read(s *byteStream, texts [][]byte, columns []columnInfo) {
	o.record, o.bits = record(s.byte()), s.byte()
	o.kind, o.status, o.flags = uint32(s.uvarint()), uint32(s.uvarint()), uint32(s.uvarint())
	if o.record >= recordEnd || o.bits&^allBits != 0 {
		*s.failed = true
	}
	if o.record == recordSpan {
		o.service = pickText(s, texts)
	}
	o.name = pickText(s, texts)
	o.slots = make([]slotInfo, s.count(len(s.buf)))
	var odd [2]bool
	for i := range o.slots {
		at := s.below(2 * len(columns))
		if *s.failed {
			return
		}
		slot := &o.slots[i]
		slot.column, slot.varies = int32(at>>1), at&1 == 1
		k := columns[slot.column].kind
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
			o.varying = append(o.varying, slot.column)
		case k == kindInt || k == kindBool:
			slot.number = uint64(unzigzag(s.uvarint()))
		case k == kindString || k == kindState || k == kindMessage:
			slot.text = pickText(s, texts)
		case k != kindEmpty:
			*s.failed = true
		}
	}
}

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
