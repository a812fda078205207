package block

import (
	"encoding/binary"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// cursor stands before a release. What lies before it was passed over or read.
type cursor struct {
	b *Body
	t *tables

	release int // the next one
	width   int // of numbers of operations

	groups, groupSizes, parents, dropped, counts, links byteStream
	spanOps, subOps                                     byteStream
	spanIDs, parentIDs, linkIDs                         byteStream
	bases, gaps, tails, eventTimes, releases            byteStream
	baseBits, gapBits, tailBits, eventBits, releaseBits bitReader
	base                                                uint64
	whole                                               bool   // releases is open
	released                                            uint64 // by the resource before
	before                                              []int  // records of each operation before the release
	columns                                             []*columnReader
	ahead                                               []int           // of each column: values before the release
	needed                                              []bool          // columns of the release
	watched                                             [][]*columnTest // by column: to be asked of the values of spans that pass by; nil for none
	current                                             current

	// Of the record that is being read.
	attributes           []byte
	state, message       []byte
	stateBuf, messageBuf []byte
}

// current is the release that is being read.
type current struct {
	groups    []groupInfo
	spans     int
	ops       []int32
	subOps    []int32
	traceID   pcommon.TraceID
	ids       []byte
	parentIDs []byte // of the parents that are not in the release
	times     spanTimes
	memory    memory
	shares    shareState
	selfTime  uint64
	start     uint64
	duration  uint64
}

type groupInfo struct {
	pair        int
	newResource bool
	spans       int
	released    uint64 // where the resource says it
}

// newCursor makes a cursor that reads everything, which its owner may close.
func newCursor(b *Body, t *tables) (*cursor, error) { return openCursor(b, t, (*cursor).rewind) }

// openCursor makes a cursor before the first release, with the streams that open opens. Its owner may close it.
func openCursor(b *Body, t *tables, open func(*cursor) error) (*cursor, error) {
	c := cursorPool.Get().(*cursor)
	c.b, c.t, c.width = b, t, operationWidth(b.operations)
	c.before = resize(c.before, len(t.operations))
	clear(c.before)
	c.ahead, c.needed = resize(c.ahead, len(t.columns)), resize(c.needed, len(t.columns))
	c.columns = resize(c.columns, len(t.columns))
	clear(c.columns)
	return c, open(c)
}

// openOperations opens what says of which resources and operations spans are.
func (c *cursor) openOperations() error {
	return c.b.byteStreams([]streamOf{
		{streamGroups, &c.groups},
		{streamGroupSizes, &c.groupSizes},
		{streamSpanOps, &c.spanOps},
		{streamSpanIDs, &c.spanIDs},
	})
}

// openRecords opens what says of which operations spans, events and links are.
func (c *cursor) openRecords() error {
	return c.b.byteStreams([]streamOf{
		{streamSpanOps, &c.spanOps},
		{streamSubOps, &c.subOps},
		{streamCounts, &c.counts},
	})
}

// openTimes opens what skipTimes, readTree and readTimes read, but the operations.
func (c *cursor) openTimes() error {
	err := c.b.byteStreams([]streamOf{
		{streamParents, &c.parents},
		{streamSpanIDs, &c.spanIDs},
		{streamParentIDs, &c.parentIDs},
		{streamBases, &c.bases},
		{streamGaps, &c.gaps},
		{streamTails, &c.tails},
	})
	if err != nil {
		return err
	}
	return c.bitReaders([]bitsOf{{streamBaseBits, &c.baseBits}, {streamGapBits, &c.gapBits}, {streamTailBits, &c.tailBits}})
}

// close keeps the room for another body.
func (c *cursor) close() {
	for _, column := range c.columns {
		if column != nil {
			column.close()
		}
	}
	r := &c.current
	times := r.times
	if cap(times.starts) > maxKeptRoom {
		times = spanTimes{}
	}
	*c = cursor{
		before: emptied(c.before), ahead: emptied(c.ahead), needed: emptied(c.needed), columns: emptied(c.columns),
		attributes: emptied(c.attributes), stateBuf: emptied(c.stateBuf), messageBuf: emptied(c.messageBuf),
		current: current{groups: emptied(r.groups), ops: emptied(r.ops), subOps: emptied(r.subOps), times: times},
	}
	cursorPool.Put(c)
}

func (c *cursor) rewind() error {
	err := c.b.byteStreams([]streamOf{
		{streamGroups, &c.groups},
		{streamGroupSizes, &c.groupSizes},
		{streamParents, &c.parents},
		{streamDropped, &c.dropped},
		{streamCounts, &c.counts},
		{streamLinks, &c.links},
		{streamSpanOps, &c.spanOps},
		{streamSubOps, &c.subOps},
		{streamSpanIDs, &c.spanIDs},
		{streamParentIDs, &c.parentIDs},
		{streamLinkIDs, &c.linkIDs},
		{streamBases, &c.bases},
		{streamGaps, &c.gaps},
		{streamTails, &c.tails},
		{streamEventTimes, &c.eventTimes},
		{streamReleased, &c.releases},
	})
	if err != nil {
		return err
	}
	err = c.bitReaders([]bitsOf{
		{streamBaseBits, &c.baseBits},
		{streamGapBits, &c.gapBits},
		{streamTailBits, &c.tailBits},
		{streamEventBits, &c.eventBits},
		{streamReleasedBits, &c.releaseBits},
	})
	if err != nil {
		return err
	}
	c.release, c.base, c.released, c.whole = 0, 0, 0, true
	clear(c.before)
	return nil
}

// bitsOf is a stream of bits and where it is to be read.
type bitsOf struct {
	number int
	to     *bitReader
}

func (c *cursor) bitReaders(list []bitsOf) error {
	for _, bits := range list {
		buf, err := c.b.stream(bits.number)
		if err != nil {
			return err
		}
		*bits.to = bitReader{buf: buf, failed: &c.b.failed}
	}
	return nil
}

// seek goes before the i-th release.
func (c *cursor) seek(i int) error {
	if i < c.release {
		if err := c.rewind(); err != nil {
			return err
		}
	}
	for c.release < i {
		c.skip()
		if c.b.failed {
			return fmt.Errorf("%w: release %d", ErrCorrupt, c.release)
		}
	}
	return nil
}

// operation reads the number of an operation.
func (c *cursor) operation(s *byteStream, want record) int32 {
	b := s.bytes(uint64(c.width))
	n := 0
	switch len(b) {
	case 1:
		n = int(b[0])
	case 2:
		n = int(binary.LittleEndian.Uint16(b))
	case 4:
		n = int(binary.LittleEndian.Uint32(b))
	}
	if n >= len(c.t.operations) || c.t.operations[n].record != want {
		c.b.failed = true
		return -1
	}
	return int32(n)
}

// readGroups reads the release's resources and scopes, and when they say that it was released, if that stream is open.
func (c *cursor) readGroups() {
	r := &c.current
	r.groups, r.spans = r.groups[:0], 0
	left := c.spanIDs.len() / 8
	for i := range c.groups.count(c.groups.len()) {
		pair := c.groups.below(len(c.t.pairs))
		size := c.groupSizes.uvarint()
		spans := size >> 1
		if c.b.failed || spans > uint64(left-r.spans) || i == 0 && size&1 == 0 {
			c.b.failed = true
			return
		}
		g := groupInfo{pair: pair, newResource: size&1 == 1, spans: int(spans)}
		if g.newResource && c.whole && c.t.entities[c.t.pairs[pair].resource].released > 0 {
			c.released += uint64(unzigzag(c.releaseBits.classed(c.releases.byte())))
			g.released = c.released
		}
		r.groups = append(r.groups, g)
		r.spans += int(spans)
	}
}

// skip passes over a release.
func (c *cursor) skip() {
	c.readGroups()
	c.skipSpans()
}

// skipSpans passes over what stands behind the resources and scopes of a release.
func (c *cursor) skipSpans() {
	if c.b.failed {
		return
	}
	n := c.current.spans
	c.skipTimes(n)
	for range n {
		op := c.operation(&c.spanOps, recordSpan)
		if op < 0 {
			return
		}
		c.skipRecord(op)
	}
	c.release++
}

// skipTimes passes over the ids, the parents and the times of a release's spans.
func (c *cursor) skipTimes(n int) {
	c.spanIDs.bytes(8 * uint64(n))
	if n > 0 {
		c.readBase()
	}
	missing := 0
	for range n {
		if c.parents.uvarint() == 1 {
			missing++
		}
	}
	c.parentIDs.bytes(8 * uint64(missing))
	c.gapBits.skip(classWidths(c.gaps.bytes(uint64(n)), 0xFF))
	c.tailBits.skip(classWidths(c.tails.bytes(uint64(n)), ^byte(negative)))
}

// countRecords passes over the operations of a release's spans and of their events and links, and counts them; list is told of each, with the place of a span, −1 of
// others. It reads what openRecords opens.
func (c *cursor) countRecords(spans int, list func(op int32, span int)) {
	for i := range spans {
		op := c.operation(&c.spanOps, recordSpan)
		if op < 0 {
			return
		}
		c.before[op]++
		if list != nil {
			list(op, i)
		}
		for _, of := range subRecords {
			if c.t.operations[op].bits&of.bit == 0 {
				continue
			}
			for range c.counts.count(c.subOps.len() / c.width) {
				sub := c.operation(&c.subOps, of.record)
				if sub < 0 {
					return
				}
				c.before[sub]++
				if list != nil {
					list(sub, -1)
				}
			}
		}
	}
	c.release++
}

// skipRecord passes over what belongs to a span with the operation.
func (c *cursor) skipRecord(op int32) {
	c.before[op]++
	if bits := c.t.operations[op].bits; bits != 0 {
		c.skipSubs(bits)
	}
}

func (c *cursor) readBase() {
	c.base += uint64(unzigzag(c.baseBits.classed(c.bases.byte())))
}

// skipSubs passes over the events and links of a span, and its dropped counts.
func (c *cursor) skipSubs(bits byte) {
	if bits&hasDropped != 0 {
		for range 3 {
			c.dropped.uvarint()
		}
	}
	for _, of := range subRecords {
		if bits&of.bit == 0 {
			continue
		}
		for range c.counts.count(c.subOps.len() / c.width) {
			if of.record == recordEvent {
				c.eventBits.skip(uint64(classWidth(c.eventTimes.byte())))
			} else {
				c.linkID()
			}
			op := c.operation(&c.subOps, of.record)
			if op < 0 {
				return
			}
			c.before[op]++
			if c.t.operations[op].bits&hasDropped != 0 {
				c.dropped.uvarint()
			}
		}
	}
}

// linkID reads where a link leads: trace and span id, span id alone where it is this trace, nil and the distance to a span of the
// release.
func (c *cursor) linkID() (id []byte, distance int64) {
	switch n := c.links.uvarint(); n {
	case 0:
		return c.linkIDs.bytes(16 + 8), 0
	case 1:
		return c.linkIDs.bytes(8), 0
	default:
		return nil, unzigzag(n - 2)
	}
}
