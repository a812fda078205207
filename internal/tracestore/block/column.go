package block

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/conventions"
)

// kind is what the values of a column are.
type kind byte

const (
	kindString  kind = 1
	kindInt     kind = 2
	kindDouble  kind = 3 // as the bits of IEEE 754
	kindBool    kind = 4
	kindEmpty   kind = 5 // no value at all: nothing stands in the column
	kindAny     kind = 6 // bytes, arrays and maps, as OTLP AnyValue
	kindState   kind = 7 // not an attribute: the record's trace state
	kindMessage kind = 8 // not an attribute: the message of a span's status
	kindEnd     kind = 9
)

// textual says whether the values are strings for the column.
func (k kind) textual() bool {
	return k == kindString || k == kindAny || k == kindState || k == kindMessage
}

func kindOf(t pcommon.ValueType) kind {
	switch t {
	case pcommon.ValueTypeStr:
		return kindString
	case pcommon.ValueTypeInt:
		return kindInt
	case pcommon.ValueTypeDouble:
		return kindDouble
	case pcommon.ValueTypeBool:
		return kindBool
	case pcommon.ValueTypeEmpty:
		return kindEmpty
	}
	return kindAny
}

// forecast is how a column's numbers are foretold from the spans' times; the column has the difference. It stands in the block, so
// that reading does not depend on names of attributes.
type forecast byte

const (
	forecastNone     forecast = 0
	forecastSelfTime forecast = 1 // the span's duration without its children, see spanTimes.selfTime
	forecastPathTime forecast = 2 // the number before it in the record that forecastSelfTime is for, else 0
	forecastStart    forecast = 3 // the first start in the release
	forecastDuration forecast = 4 // the last end in the release minus the first start
	forecastShare    forecast = 5 // a double: see shares.go
	forecastEnd      forecast = 6
)

func forecastOf(key string, k kind) forecast {
	if k == kindInt {
		switch key {
		case conventions.AttrSelfTime:
			return forecastSelfTime
		case conventions.AttrCriticalPathTime:
			return forecastPathTime
		case conventions.AttrStart:
			return forecastStart
		case conventions.AttrDuration:
			return forecastDuration
		}
	}
	if k == kindDouble && (key == conventions.AttrBottleneck || key == conventions.AttrBottleneckShare) {
		return forecastShare
	}
	return forecastNone
}

// Codes of a column of strings.
const (
	codeSame   = 0 // the value before in this release
	codeInline = 1 // a string of its own, parted by a templater
	codeFirst  = 2 // of the dictionary
)

const (
	// maxDictionary bounds the strings that a column remembers, and maxRemembered their length.
	maxDictionary = 1 << 14
	maxRemembered = 1 << 10
	// maxTemplates bounds the templates that an encoder remembers.
	maxTemplates = 1 << 14
)

// column collects the values of one key and kind that are not the same for all spans of their operation. It lives as long as the encoder.
type column struct {
	key      *text
	kind     kind
	forecast forecast
	named    bool // the filter knows with which services its values stand
	epoch    uint32
	number   uint32 // in the block of that epoch

	// Strings. A string that occurs in a second release goes to the dictionary, others are inline.
	codes       []byte // of numbers: what is worth compressing of them
	heap        []byte // the dictionary's strings in the block
	heapLen     uint32
	dictionary  texts
	last        string // of the release lastRelease
	lastRelease uint32
	templates   []byte // number of the template + 1 for each inline string, 0: kept whole
	template    *text  // the last one
	whole       []byte
	variables   []byte // codes of variables
	bits        bitWriter

	numbers     []uint64 // differences where there is a forecast
	bounded     bool
	least, most uint64 // of the block's values, also those that stand with operations
	tokens      bool   // whether the filter has them all
}

func (c *column) reset() {
	c.codes, c.heap, c.heapLen, c.last, c.lastRelease = reuse(c.codes), reuse(c.heap), 0, "", 0
	c.templates, c.whole, c.variables = reuse(c.templates), reuse(c.whole), reuse(c.variables)
	c.bits.reset()
	c.numbers = reuse(c.numbers)
	c.bounded, c.least, c.most = false, 0, 0
	c.tokens = c.kind == kindString || c.kind == kindInt || c.kind == kindBool
}

// putString appends a value to a column of strings.
func (e *Encoder) putString(c *column, s string) {
	if c.lastRelease == e.releaseSeq && s == c.last {
		c.codes = append(c.codes, codeSame)
		return
	}
	c.last, c.lastRelease = s, e.releaseSeq
	hash := xxhash.Sum64String(s)
	d := c.dictionary.find(hash, s)
	if d == nil {
		if !e.remembered(c, hash) || len(s) > maxRemembered {
			c.codes = append(c.codes, codeInline)
			e.addToken(c, hash)
			e.putInline(c, s)
			return
		}
		if c.dictionary.n == maxDictionary {
			c.dictionary = texts{}
		}
		d = c.dictionary.add(hash, s)
		e.kept += textBytes + len(s)
	}
	if d.epoch != e.epoch {
		d.epoch, d.number = e.epoch, c.heapLen
		c.heapLen++
		c.heap = codec.AppendString(c.heap, s)
		e.addToken(c, hash)
	}
	c.codes = binary.AppendUvarint(c.codes, codeFirst+uint64(d.number))
}

// remembered says whether the string was seen in an earlier release, and remembers it if not. It may err, in both ways.
func (e *Encoder) remembered(c *column, hash uint64) bool {
	slot, release := &e.seen[mix(hash^c.key.hash)%seenStrings], uint16(e.releaseSeq)
	if *slot>>16 == uint32(hash>>48) && uint16(*slot) != release {
		return true
	}
	*slot = uint32(hash>>48<<16) | uint32(release)
	return false
}

// putInline writes a string that is not in the dictionary.
func (e *Encoder) putInline(c *column, s string) {
	if !e.templater.split(s) {
		c.templates = append(c.templates, 0)
		c.whole = codec.AppendString(c.whole, s)
		return
	}
	c.templates = binary.AppendUvarint(c.templates, 1+uint64(e.templateNumber(c, e.templater.template)))
	for i := range e.templater.variables {
		v := &e.templater.variables[i]
		if v.place {
			c.variables = binary.AppendUvarint(c.variables, v.value)
			continue
		}
		if v.known {
			if i := e.memory.find(&v.remembered); i >= 0 {
				c.variables = append(c.variables, byte(i+1))
				continue
			}
			e.memory.add(&v.remembered)
			c.variables = append(c.variables, 0)
		}
		switch v.width {
		case 0:
			c.variables = c.bits.classed(c.variables, v.value)
		case widthUUID:
			c.bits.write(v.value, 32)
			c.bits.write(v.more[0], 48)
			c.bits.write(v.more[1], 48)
		default:
			c.bits.write(v.value, uint(v.width))
		}
	}
}

// templateNumber is the template's in this block. Most strings of a column have the one before.
func (e *Encoder) templateNumber(c *column, template []byte) uint32 {
	t := c.template
	if t == nil || t.s != string(template) {
		t = e.templates[string(template)]
	}
	if t == nil {
		if len(e.templates) == maxTemplates {
			clear(e.templates)
		}
		t = &text{s: string(template)}
		e.templates[t.s] = t
		e.kept += textBytes + len(t.s)
	}
	c.template = t
	if t.epoch != e.epoch {
		t.epoch, t.number = e.epoch, e.numTemplates
		e.numTemplates++
		e.out[streamTemplates] = codec.AppendString(e.out[streamTemplates], t.s)
	}
	return t.number
}

// addToken lets the filter know a string that a span may be searched by.
func (e *Encoder) addToken(c *column, hash uint64) {
	if c.kind == kindString {
		e.tokens.add(token(c.key.hash, hash))
	}
}
