package block

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// columnReader reads a column from its front; seek goes anywhere.
type columnReader struct {
	columnInfo
	streams [columnStreams][]byte
	at      int // values read
	failed  *bool
	version byte

	codes, templates, whole, variables byteStream
	bits                               bitReader
	dictionary                         textList
	last                               []byte // the value before, if it is of the release lastRelease
	lastRelease                        int
	lastVerdict                        tracestore.Verdict // of a columnTest: of last
	own                                []byte             // holds last where it is not of the dictionary

	encoding byte
	least    uint64
	width    uint
	list     []uint64
}

// openColumn opens a column, which its owner may close.
func (b *Body) openColumn(i int, info columnInfo) (*columnReader, error) {
	c := columnPool.Get().(*columnReader)
	c.columnInfo, c.failed, c.version = info, &b.failed, b.version
	for k := range c.streams {
		var err error
		if c.streams[k], err = b.stream(numStreams + columnStreams*i + k); err != nil {
			return nil, err
		}
	}
	c.rewind()
	if c.kind.textual() {
		c.dictionary = readTexts(byteStream{buf: c.streams[columnHeap], failed: c.failed}, c.dictionary.spans)
	} else if len(c.streams[columnCodes]) > 0 {
		c.readEncoding()
	}
	if b.failed {
		b.failed = false
		return nil, fmt.Errorf("%w: column %d", ErrCorrupt, i)
	}
	return c, nil
}

// close keeps the room for another column.
func (c *columnReader) close() {
	*c = columnReader{dictionary: textList{spans: emptied(c.dictionary.spans)}, own: emptied(c.own), list: emptied(c.list)}
	columnPool.Put(c)
}

func (c *columnReader) rewind() {
	c.at, c.lastRelease = 0, -1
	c.codes = byteStream{buf: c.streams[columnCodes], failed: c.failed}
	c.templates = byteStream{buf: c.streams[columnTemplates], failed: c.failed}
	c.whole = byteStream{buf: c.streams[columnWhole], failed: c.failed}
	c.variables = byteStream{buf: c.streams[columnVariables], failed: c.failed}
	c.bits = bitReader{buf: c.streams[columnBits], failed: c.failed}
}

// readEncoding reads what stands in front of a column's numbers; streams[columnCodes] is the rest then.
func (c *columnReader) readEncoding() {
	c.encoding = c.codes.byte()
	switch c.encoding {
	case numbersPacked:
		c.least, c.width = uint64(unzigzag(c.codes.uvarint())), uint(c.codes.byte())
		if c.width > 64 {
			*c.failed = true
		}
	case numbersListed:
		for range c.codes.count(min(maxListed, c.codes.len())) {
			if c.kind == kindDouble {
				if b := c.codes.bytes(8); b != nil {
					c.list = append(c.list, binary.LittleEndian.Uint64(b))
				}
				continue
			}
			c.list = append(c.list, uint64(unzigzag(c.codes.uvarint())))
		}
	case numbersClassed, numbersDouble:
	case numbersShare:
		if c.kind != kindDouble {
			*c.failed = true
		}
	default:
		*c.failed = true
	}
	c.streams[columnCodes] = c.codes.rest()
}

// seek goes to the n-th value.
func (c *columnReader) seek(n int, templates []templateInfo) {
	if n < c.at {
		c.rewind()
	}
	skip := n - c.at
	c.at = n
	switch {
	case c.kind.textual():
		c.skipTexts(skip, templates)
	case c.encoding == numbersPacked:
		c.bits.skip(uint64(skip) * uint64(c.width))
	case c.encoding == numbersListed:
		c.codes.bytes(uint64(skip))
	case c.encoding == numbersClassed:
		c.bits.skip(classWidths(c.codes.bytes(uint64(skip)), 0xFF))
	case c.encoding == numbersDouble:
		c.codes.bytes(2 * uint64(skip))
		c.bits.skip(52 * uint64(skip))
	default:
		for range skip {
			if *c.failed {
				return
			}
			switch c.variables.byte() {
			case shareOther:
				c.bits.skip(uint64(classWidth(c.variables.byte())))
			case shareBits:
				c.bits.skip(64)
			}
		}
	}
}

func (c *columnReader) skipTexts(n int, templates []templateInfo) {
	for range n {
		if c.codes.uvarint() == codeInline {
			c.skipInline(templates)
		}
		if *c.failed {
			return
		}
	}
}

// skipInline needs no memory: whether a variable is remembered stands with it.
func (c *columnReader) skipInline(templates []templateInfo) {
	n := c.templates.below(len(templates) + 1)
	if n == 0 {
		c.whole.text()
		return
	}
	for _, placeholder := range templates[n-1].variables {
		switch {
		case placeholder == phSpan:
			c.variables.uvarint()
		case placeholder == phShort:
			c.bits.skip(uint64(classWidth(c.variables.byte())))
		case placeholder == phUUID:
			if c.variables.byte() == 0 {
				c.bits.skip(32 + 96)
			} else if c.version == 1 {
				c.bits.skip(96)
			}
		case c.variables.byte() != 0:
		case placeholder == phDecimal:
			c.bits.skip(uint64(classWidth(c.variables.byte())))
		case placeholder == phIPv4:
			c.bits.skip(32)
		default:
			c.bits.skip(4 * uint64(placeholder&^0x80))
		}
	}
}

// number reads the next number, without the forecast. Shares are read by share.
func (c *columnReader) number() uint64 {
	c.at++
	switch c.encoding {
	case numbersPacked:
		return c.least + c.bits.read(c.width)
	case numbersListed:
		if at := int(c.codes.byte()); at < len(c.list) {
			return c.list[at]
		}
		*c.failed = true
	case numbersClassed:
		return uint64(unzigzag(c.bits.classed(c.codes.byte())))
	case numbersDouble:
		high := uint64(c.codes.byte())<<60 | uint64(c.codes.byte())<<52
		return high | c.bits.read(52)
	}
	*c.failed = true
	return 0
}

// share reads the next share.
func (c *columnReader) share(s *shareState) uint64 {
	c.at++
	var share uint64
	switch c.variables.byte() {
	case shareSame:
		share = s.last
		*c.failed = *c.failed || !s.known
	case sharePath:
		share = divided(s.path, s.root)
	case shareOther:
		share = divided(int64(c.bits.classed(c.variables.byte())), s.root)
	case shareBits:
		share = c.bits.read(64)
	default:
		*c.failed = true
	}
	s.last, s.known = share, true
	return share
}

// text reads the next string, which is valid until the one after it is read.
func (c *columnReader) text(release int, templates []templateInfo, m *memory, spanIDs []byte) []byte {
	c.at++
	switch code := c.codes.uvarint(); {
	case code == codeSame:
		if c.lastRelease != release {
			*c.failed = true
			return nil
		}
		return c.last
	case code == codeInline:
		c.own = c.inline(c.own[:0], templates, m, spanIDs)
		c.last = c.own
	case code-codeFirst < uint64(len(c.dictionary.spans)):
		c.last = c.dictionary.at(int32(code - codeFirst))
	default:
		*c.failed = true
		return nil
	}
	c.lastRelease = release
	return c.last
}

// inline appends the next inline string.
func (c *columnReader) inline(buf []byte, templates []templateInfo, m *memory, spanIDs []byte) []byte {
	n := c.templates.below(len(templates) + 1)
	if n == 0 {
		return append(buf, c.whole.text()...)
	}
	text, copied := templates[n-1].text, 0
	for i := 0; i < len(text); i++ {
		placeholder := text[i]
		if placeholder >= phEnd {
			continue
		}
		buf = append(buf, text[copied:i]...)
		switch placeholder {
		case phShort:
			buf = strconv.AppendUint(buf, c.bits.classed(c.variables.byte()), 10)
		case phDecimal:
			buf = strconv.AppendUint(buf, c.known(0, m).value, 10)
		case phHex:
			i++
			digits := int(text[i] - '0')
			buf = appendHex(buf, c.known(uint(4*digits), m).value, digits)
		case phUUID:
			id := c.known(widthUUID, m)
			buf = appendUUID(buf, &id)
		case phIPv4:
			buf = appendIPv4(buf, c.known(32, m).value)
		case phSpan:
			if at := c.variables.below(len(spanIDs) / 8); at < len(spanIDs)/8 {
				buf = appendHex(buf, binary.BigEndian.Uint64(spanIDs[8*at:]), 16)
			}
		}
		copied = i + 1
	}
	return append(buf, text[copied:]...)
}

// known reads a variable that may be one seen before; width 0: classed. Of UUIDs version 1 remembers the first 32 bits alone.
func (c *columnReader) known(width uint, m *memory) (v remembered) {
	if code := int(c.variables.byte()); code > 0 {
		switch {
		case m.blind:
			m.unknown = true
		case code > min(m.n, len(m.values)):
			*c.failed = true
		default:
			v = remembered{m.values[code-1], m.more[code-1]}
		}
		if width == widthUUID && c.version == 1 {
			v.more = [2]uint64{c.bits.read(48), c.bits.read(48)}
		}
		return v
	}
	switch width {
	case 0:
		v.value = c.bits.classed(c.variables.byte())
	case widthUUID:
		v.value, v.more = c.bits.read(32), [2]uint64{c.bits.read(48), c.bits.read(48)}
	default:
		v.value = c.bits.read(width)
	}
	m.add(&v)
	return v
}
