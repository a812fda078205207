package block

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/attributes"
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
	kind   kind
	varies bool  // the values stand in the column; it never ends
	around uint8 // what the attribute takes as a field of OTLP beside the bytes of its value, where that does not hang on them; else 0
	text   *text
	column *column
}

type operation struct {
	shape
	epoch         uint32
	number        uint32 // in the block of that epoch
	service, name *text
	slots         []slot  // of the attributes, then of the trace state and the message that are not empty
	varying       []int32 // the slots that vary, ascending
	size          int     // of the attributes that do not vary, as fields of OTLP
	next          *operation
}

// details are what a record has besides its shape and name.
type details struct {
	attributes     pcommon.Map
	state, message string
}

// extra is how many values stand behind the attributes.
func (d *details) extra() (n int) {
	if d.state != "" {
		n++
	}
	if d.message != "" {
		n++
	}
	return n
}

// match says whether a record is of the operation, by what it has in its slots, and lists the slots in which it has another value than all
// records before it.
func (e *Encoder) match(o *operation, d *details) bool {
	slots, of := o.slots, attributes.List(d.attributes)
	if len(slots) != len(of)+d.extra() {
		return false
	}
	others := e.others[:0]
	slots = slots[:len(of)]
	for i := range slots {
		a, slot := &of[i], &slots[i]
		if a.Key() != slot.key {
			return false
		}
		switch slot.kind {
		case kindString:
			if !a.IsStr() {
				return false
			}
			if !slot.varies && a.Str() != slot.s {
				others = append(others, int32(i))
			}
		case kindInt:
			if !a.IsInt() {
				return false
			}
			if !slot.varies && uint64(a.Int()) != slot.number {
				others = append(others, int32(i))
			}
		default:
			if kindOf(a.Type()) != slot.kind {
				return false
			}
			if slot.kind == kindBool && !slot.varies && number(a.Bool()) != slot.number {
				others = append(others, int32(i))
			}
		}
	}
	for at := len(slots); at < len(o.slots); at++ {
		slot := &o.slots[at]
		s := d.behind(slot.kind)
		if s == "" {
			return false
		}
		if !slot.varies && slot.s != s {
			others = append(others, int32(at))
		}
	}
	e.others = others
	return true
}

// behind is what stands behind the attributes, empty where there is none of the kind.
func (d *details) behind(k kind) string {
	switch k {
	case kindState:
		return d.state
	case kindMessage:
		return d.message
	}
	return ""
}

// marshal is a value as OTLP. The string is valid until the next release.
func (e *Encoder) marshal(v pcommon.Value) string {
	from := len(e.scratch)
	e.scratch = e.any.append(e.scratch, v)
	return unsafe.String(unsafe.SliceData(e.scratch[from:]), len(e.scratch)-from)
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// guesses are the operations that records were of last, by what is known of a record before its attributes: mostly it is one of them again.
type guesses [1 << guessBits][2]*operation

const guessBits = 10

// operation finds the operation of a record, or begins it, and lists its values.
func (e *Encoder) operation(s *shape, service *text, name string, d *details) *operation {
	hash := mix(xxhash.Sum64String(name) ^ s.hash())
	if service != nil {
		hash ^= mix(service.hash)
	}
	guess := &e.guesses[spot(hash, len(e.guesses))]
	for i, o := range guess {
		if o != nil && o.shape == *s && o.service == service && o.name.s == name && e.match(o, d) {
			if i > 0 {
				guess[0], guess[i] = o, guess[0]
			}
			return o
		}
	}
	o := e.find(hash, s, service, name, d)
	guess[0], guess[1] = o, guess[0]
	return o
}

// find is operation without a guess.
func (e *Encoder) find(hash uint64, s *shape, service *text, name string, d *details) *operation {
	hash = mix(hash ^ d.hash())
	length := 0
	for o := e.operations[hash]; o != nil; o = o.next {
		if o.shape == *s && o.service == service && o.name.s == name && e.match(o, d) {
			return o
		}
		if length++; length == maxChain {
			e.operations[hash] = nil // a second definition does no harm
			break
		}
	}
	o := &operation{
		shape: *s, service: service, name: e.texts.intern(name), slots: make([]slot, 0, d.attributes.Len()+d.extra()), next: e.operations[hash],
	}
	all := attributes.List(d.attributes)
	for i := range all {
		a := &all[i]
		slot := e.slot(a.Key(), kindOf(a.Type()))
		switch slot.kind {
		case kindInt:
			slot.set(uint64(a.Int()))
		case kindBool:
			slot.set(number(a.Bool()))
		case kindString:
			e.setText(&slot, a.Str())
		case kindDouble, kindAny:
			slot.varies = true
		}
		o.slots = append(o.slots, slot)
		o.size += slot.size()
	}
	if d.state != "" {
		o.slots = append(o.slots, e.slot("", kindState))
		e.setText(&o.slots[len(o.slots)-1], d.state)
	}
	if d.message != "" {
		o.slots = append(o.slots, e.slot("", kindMessage))
		e.setText(&o.slots[len(o.slots)-1], d.message)
	}
	o.listVarying()
	e.operations[hash] = o
	e.kept += 256 + len(name) + 80*len(o.slots)
	e.match(o, d)
	return o
}

// hash is of what is the same for all records of an operation and cheap to look at: the lengths and kinds of keys.
func (d *details) hash() (hash uint64) {
	all := attributes.List(d.attributes)
	for i := range all {
		hash = (hash ^ uint64(len(all[i].Key())) ^ uint64(kindOf(all[i].Type()))<<32) * 0x9e3779b97f4a7c15
	}
	return hash ^ uint64(d.extra())
}

func (e *Encoder) slot(key string, k kind) slot {
	c := e.column(key, k)
	s := slot{key: ownKey(c.key.s), kind: k, column: c}
	if len(key) > 0 && len(key) <= smallBody {
		s.around = smallSize + uint8(len(key))
	}
	return s
}

// ownKey is the key, of annotations on nearly every span as the constant with which trace_analysis writes it: strings at the same address are
// equal at a glance.
func ownKey(key string) string {
	for _, own := range [...]string{
		conventions.AttrEntryService, conventions.AttrEntryOperation, conventions.AttrParentService, conventions.AttrParentOperation,
		conventions.AttrCategory, conventions.AttrSelfTime, conventions.AttrCriticalPathTime, conventions.AttrPeerService, conventions.AttrPeerKind,
	} {
		if key == own {
			return own
		}
	}
	return key
}

// set lets the slot have one number, until another one comes.
func (s *slot) set(number uint64) { s.number, s.varies = number, s.column.forecast != forecastNone }

// setText lets the slot have one string, until another one comes.
func (e *Encoder) setText(s *slot, text string) {
	if s.varies = len(text) > maxTemplated; !s.varies {
		s.text = e.texts.intern(text)
		s.s = s.text.s
	}
}

// size is that of the attribute as a field of OTLP where it does not vary.
func (s *slot) size() int {
	if s.varies {
		return 0
	}
	return s.sizeOf(s.s, s.number)
}

// sizeOf is that of the attribute as a field of OTLP with a value. States and messages are counted with their spans.
func (s *slot) sizeOf(text string, number uint64) int {
	if s.around > 0 {
		switch {
		case s.kind == kindString && len(text) <= smallBody:
			return int(s.around) + 2 + len(text)
		case s.kind == kindInt:
			return int(s.around) + 1 + uvarintSize(number)
		}
	}
	return s.anySize(text, number)
}

func (s *slot) anySize(text string, number uint64) int {
	if s.kind == kindState || s.kind == kindMessage {
		return 0
	}
	return fieldSize(keyValueSize(s.key, valueSize(s.kind, len(text), number)))
}

// A key and a value of at most smallBody bytes have lengths of one byte all the way out: smallSize is the tags and lengths of the attribute,
// the key and the value.
const (
	smallBody = 60
	smallSize = 6
)

func (e *Encoder) column(key string, k kind) *column {
	id := columnID{key, k}
	c := e.columns[id]
	if c == nil {
		c = &column{key: e.texts.intern(key), kind: k, forecast: forecastOf(key, k), named: key == conventions.AttrOperation && k == kindString}
		id.key = c.key.s
		e.columns[id] = c
		e.kept += 1024
	}
	return c
}

// vary lets slots vary that had one value so far.
func (o *operation) vary(slots []int32) {
	for _, i := range slots {
		o.size -= o.slots[i].size()
		o.slots[i].varies = true
	}
	o.listVarying()
	o.epoch = 0 // it is another one in this block from here on
}

func (o *operation) listVarying() {
	o.varying = o.varying[:0]
	for i := range o.slots {
		if o.slots[i].varies {
			o.varying = append(o.varying, int32(i))
		}
	}
}

// put writes the record's attributes, those that vary to their columns, and returns the number of its operation in the block and the size
// of the attributes as fields of OTLP. span is its place in the release where it is a span.
func (e *Encoder) put(s *shape, service *text, name string, d *details, span int) (number uint32, size int) {
	o := e.operation(s, service, name, d)
	if len(e.others) > 0 {
		o.vary(e.others)
	}
	e.selfTime, e.shares.path = 0, 0
	of := attributes.List(d.attributes)
	for _, i := range o.varying {
		slot := &o.slots[i]
		c := slot.column
		if c.epoch != e.epoch {
			e.columnNumber(c)
		}
		switch slot.kind {
		case kindString:
			text := of[i].Str()
			size += slot.sizeOf(text, 0)
			e.putString(c, text)
			if c.named {
				e.addNamed(o, text)
			}
		case kindInt:
			v := uint64(of[i].Int())
			size += slot.sizeOf("", v)
			if c.forecast != forecastNone {
				v -= e.foretell(c.forecast, v, span)
			}
			c.numbers = append(c.numbers, v)
		default:
			size += e.putOther(c, slot, d, of, int(i))
		}
	}
	if o.epoch != e.epoch {
		e.define(o)
	}
	return o.number, size + o.size
}

// putOther writes the value of a slot that is neither text nor an integer, and answers its size.
func (e *Encoder) putOther(c *column, slot *slot, d *details, of []attributes.Attribute, i int) int {
	text, n := "", uint64(0)
	switch slot.kind {
	case kindState, kindMessage:
		text = d.behind(slot.kind)
	case kindAny:
		text = e.marshal(of[i].Value(d.attributes))
	case kindDouble:
		n = math.Float64bits(of[i].Double())
	case kindBool:
		n = number(of[i].Bool())
	}
	switch {
	case slot.kind.textual():
		e.putString(c, text)
	case c.forecast == forecastShare:
		e.putShare(c, n)
	default:
		c.numbers = append(c.numbers, n)
	}
	return slot.sizeOf(text, n)
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
	e.defined = append(e.defined, o)
	b := append(e.definition[:0], byte(o.record), o.bits)
	b = binary.AppendUvarint(b, uint64(o.kind))
	b = binary.AppendUvarint(b, uint64(o.status))
	b = binary.AppendUvarint(b, uint64(o.flags))
	if o.record == recordSpan {
		b = binary.AppendUvarint(b, e.textNumber(o.service))
		e.tokens.add(token(tokenService, o.service.hash))
		e.tokens.add(token(tokenOperation, o.name.hash))
		e.addPairs(o)
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

// addPairs lets the filter know which services, operations and failures stand on one span. An annotated operation that varies is for addNamed.
func (e *Encoder) addPairs(o *operation) {
	services, operations := [2]*text{o.service}, [2]*text{o.name}
	for i := range o.slots {
		s := &o.slots[i]
		switch {
		case s.kind != kindString:
		case s.key == conventions.AttrService && s.varies:
			e.tokens.add(token(tokenPair, tokenOthers))
		case s.key == conventions.AttrService && services[1] == nil: // the first of a key counts
			services[1] = s.text
		case s.key == conventions.AttrOperation && !s.varies && operations[1] == nil:
			operations[1] = s.text
		}
	}
	for _, service := range services {
		if service == nil {
			continue
		}
		if o.failed() {
			e.tokens.add(token(tokenFailed, service.hash))
		}
		for _, operation := range operations {
			if operation != nil {
				e.addPair(o, service.hash, operation.hash)
			}
		}
	}
}

func (e *Encoder) addPair(o *operation, service, operation uint64) {
	e.tokens.add(pairToken(tokenPair, service, operation))
	if o.failed() {
		e.tokens.add(pairToken(tokenFailed, service, operation))
	}
}

// addNamed lets the filter know a value of an annotated operation that varies.
func (e *Encoder) addNamed(o *operation, name string) {
	hash := xxhash.Sum64String(name)
	if o.service != nil {
		e.addPair(o, o.service.hash, hash)
	}
	for i := range o.slots {
		if s := &o.slots[i]; s.key == conventions.AttrService && s.kind == kindString && !s.varies {
			e.addPair(o, s.text.hash, hash)
		}
	}
}

// failed says whether the spans failed.
func (s *shape) failed() bool { return int32(s.status) == int32(ptrace.StatusCodeError) }

// textNumber is the string's number in this block.
func (e *Encoder) textNumber(t *text) uint64 {
	if t.epoch != e.epoch {
		t.epoch, t.number = e.epoch, e.numTexts
		e.numTexts++
		e.out[streamTexts] = append(binary.AppendUvarint(e.out[streamTexts], uint64(len(t.s))), t.s...)
	}
	return uint64(t.number)
}
