package block

import (
	"encoding/binary"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Spans that look alike share an operation: the same service, name, kind, status and flags and the same keys and kinds of
// attributes in the same order. An attribute that has one value for all spans of an operation stands with the operation, the others
// stand in columns. Events and links have operations too.

// record is what an operation is of.
type record byte

const (
	recordSpan  record = 0
	recordEvent record = 1
	recordLink  record = 2
	recordEnd   record = 3
)

// Bits of a shape.
const (
	hasEvents  = 1 << 0
	hasLinks   = 1 << 1
	hasDropped = 1 << 2 // one of the dropped counts is not 0
	allBits    = hasEvents | hasLinks | hasDropped
)

// maxChain bounds the operations of one hash, whatever names a sender makes up.
const maxChain = 16

// subRecords are what a span has behind its attributes, in this order, and the bits that say so.
var subRecords = [...]struct {
	bit    byte
	record record
}{{hasEvents, recordEvent}, {hasLinks, recordLink}}

// shape is what is the same for all records of an operation besides its strings.
type shape struct {
	record       record
	bits         byte
	kind, status uint32
	flags        uint32
}

func (s *shape) hash() uint64 {
	return mix(uint64(s.record)<<56|uint64(s.bits)<<48|uint64(s.kind)<<40^uint64(s.status)<<32) ^ mix(uint64(s.flags))
}

// slot is an attribute of an operation. It holds what every record is compared with itself, without a pointer to follow.
type slot struct {
	key    string
	s      string // of text
	number uint64
	text   *text
	column *column
	kind   kind
	varies bool // the values stand in the column; it never ends
}

type operation struct {
	shape
	service, name *text
	slots         []slot
	epoch         uint32
	number        uint32 // in the block of that epoch
	next          *operation
}

// value is an attribute as the encoder wants it.
type value struct {
	key    string
	s      string // where the kind is textual
	number uint64
	kind   kind
}

func (o *operation) is(s *shape, service *text, name string, values []value) bool {
	if o.shape != *s || o.service != service || len(o.slots) != len(values) || o.name.s != name {
		return false
	}
	slots := o.slots[:len(values)]
	for i := range values {
		v, slot := &values[i], &slots[i]
		if v.kind != slot.kind || v.key != slot.key {
			return false
		}
	}
	return true
}

// operation finds the operation of a record, or begins it.
func (e *Encoder) operation(s *shape, service *text, name string, keys uint64, values []value) *operation {
	hash := mix(xxhash.Sum64String(name) ^ s.hash() ^ keys)
	if service != nil {
		hash ^= mix(service.hash)
	}
	length := 0
	for o := e.operations[hash]; o != nil; o = o.next {
		if o.is(s, service, name, values) {
			return o
		}
		if length++; length == maxChain {
			e.operations[hash] = nil // a second definition does no harm
			break
		}
	}
	o := &operation{
		shape: *s, service: service, name: e.texts.intern(name), slots: make([]slot, len(values)), next: e.operations[hash],
	}
	for i := range values {
		v, slot := &values[i], &o.slots[i]
		slot.column = e.column(v.key, v.kind)
		slot.kind, slot.key = v.kind, slot.column.key.s
		if strings.HasPrefix(v.key, conventions.Prefix) {
			slot.key = v.key // a constant of ours mostly, which is known by its address next time
		}
		switch v.kind {
		case kindInt, kindBool:
			slot.number, slot.varies = v.number, slot.column.forecast != forecastNone
		case kindString, kindState, kindMessage:
			if slot.varies = len(v.s) > maxTemplated; !slot.varies {
				slot.text = e.texts.intern(v.s)
				slot.s = slot.text.s
			}
		case kindDouble, kindAny:
			slot.varies = true
		}
	}
	e.operations[hash] = o
	e.kept += 256 + len(name) + 80*len(values)
	return o
}

func (e *Encoder) column(key string, k kind) *column {
	id := columnID{key, k}
	c := e.columns[id]
	if c == nil {
		c = &column{key: e.texts.intern(key), kind: k, forecast: forecastOf(key, k)}
		id.key = c.key.s
		e.columns[id] = c
		e.kept += 1024
	}
	return c
}

// put writes the record's attributes, those that vary to their columns, and returns the number of its operation in the block. span is its
// place in the release where it is a span.
func (e *Encoder) put(s *shape, service *text, name string, of *values, span int) uint32 {
	values := e.release.values[of.from:of.to]
	o := e.operation(s, service, name, of.hash, values)
	e.selfTime, e.shares.path = 0, 0
	slots := o.slots[:len(values)]
	for i := range values {
		v, slot := &values[i], &slots[i]
		if v.kind == kindEmpty {
			continue
		}
		if !slot.varies {
			if slot.text != nil && slot.s == v.s || slot.text == nil && slot.number == v.number {
				continue
			}
			slot.varies = true
			o.epoch = 0 // it is another one in this block from here on
		}
		if slot.column.epoch != e.epoch {
			e.columnNumber(slot.column)
		}
		switch {
		case v.kind.textual():
			e.putString(slot.column, v.s)
		case slot.column.forecast == forecastShare:
			e.putShare(slot.column, v.number)
		default:
			slot.column.numbers = append(slot.column.numbers, v.number-e.foretell(slot.column.forecast, v.number, span))
		}
	}
	if o.epoch != e.epoch {
		e.define(o)
	}
	return o.number
}

// foretell is what is expected of a number; actual is what it is, for those that are foretold from it.
func (e *Encoder) foretell(f forecast, actual uint64, span int) uint64 {
	if f == forecastNone || span < 0 {
		return 0
	}
	switch f {
	case forecastSelfTime:
		e.selfTime = actual
		return uint64(e.times.selfTime(span))
	case forecastPathTime:
		e.shares.path = int64(actual)
		return e.selfTime
	case forecastStart:
		return e.start
	case forecastDuration:
		return e.duration
	}
	return 0
}

// columnNumber is the column's in this block.
func (e *Encoder) columnNumber(c *column) uint64 {
	if c.epoch != e.epoch {
		c.reset()
		c.epoch, c.number = e.epoch, uint32(len(e.used))
		e.used = append(e.used, c)
		b := binary.AppendUvarint(e.out[streamColumns], e.textNumber(c.key))
		e.out[streamColumns] = append(b, byte(c.kind), byte(c.forecast))
	}
	return uint64(c.number)
}

// define adds the operation, as it is now, to the block.
func (e *Encoder) define(o *operation) {
	o.epoch, o.number = e.epoch, e.numOperations
	e.numOperations++
	b := append(e.definition[:0], byte(o.record), o.bits)
	b = binary.AppendUvarint(b, uint64(o.kind))
	b = binary.AppendUvarint(b, uint64(o.status))
	b = binary.AppendUvarint(b, uint64(o.flags))
	if o.record == recordSpan {
		b = binary.AppendUvarint(b, e.textNumber(o.service))
		e.tokens.add(token(tokenService, o.service.hash))
		e.tokens.add(token(tokenOperation, o.name.hash))
	}
	b = binary.AppendUvarint(b, e.textNumber(o.name))
	b = binary.AppendUvarint(b, uint64(len(o.slots)))
	for i := range o.slots {
		s := &o.slots[i]
		number := e.columnNumber(s.column) << 1
		if s.varies {
			b = binary.AppendUvarint(b, number|1)
			continue
		}
		b = binary.AppendUvarint(b, number)
		switch s.column.kind {
		case kindString, kindState, kindMessage:
			b = binary.AppendUvarint(b, e.textNumber(s.text))
			e.addToken(s.column, s.text.hash)
		case kindInt, kindBool:
			b = binary.AppendVarint(b, int64(s.number))
			s.column.bound(s.number)
			e.tokens.add(e.numberToken(s.column, s.number))
		}
	}
	e.definition = b
	e.out[streamOperations] = append(e.out[streamOperations], b...)
}

// textNumber is the string's number in this block.
func (e *Encoder) textNumber(t *text) uint64 {
	if t.epoch != e.epoch {
		t.epoch, t.number = e.epoch, e.numTexts
		e.numTexts++
		e.out[streamTexts] = append(binary.AppendUvarint(e.out[streamTexts], uint64(len(t.s))), t.s...)
	}
	return uint64(t.number)
}
