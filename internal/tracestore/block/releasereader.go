package block

import (
	"encoding/binary"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// appendRelease appends the next release, of the trace id, as OTLP.
func (c *cursor) appendRelease(buf []byte, id pcommon.TraceID) ([]byte, error) {
	start, limit := len(buf), c.b.limit
	c.readGroups()
	if c.b.failed {
		return buf, ErrCorrupt
	}
	r := &c.current
	r.traceID = id
	r.ids = c.spanIDs.bytes(8 * uint64(r.spans))
	if err := c.readTree(); err != nil {
		return buf, err
	}
	c.readTimes()
	if c.b.failed {
		return buf, ErrCorrupt
	}
	if err := c.placeColumns(); err != nil {
		return buf, err
	}
	r.memory.n = 0
	buf, span := c.appendGroups(buf, start+limit)
	if c.b.failed || span != r.spans || len(buf)-start > limit {
		return buf, ErrCorrupt
	}
	for _, op := range r.ops {
		c.before[op]++
	}
	for _, op := range r.subOps {
		c.before[op]++
	}
	c.release++
	return buf, nil
}

// readTree reads parents and operations.
func (c *cursor) readTree() error {
	r := &c.current
	r.times.reset()
	r.ops, r.subOps = r.ops[:0], r.subOps[:0]
	missing := 0
	for i := range r.spans {
		op := c.operation(&c.spanOps, recordSpan)
		code := c.parents.uvarint()
		if c.b.failed {
			return fmt.Errorf("%w: spans", ErrCorrupt)
		}
		parent := noParent
		switch code {
		case 0:
		case 1:
			missing++
		default:
			at := int64(i) - unzigzag(code-2)
			if at < 0 || at >= int64(r.spans) {
				return fmt.Errorf("%w: parent", ErrCorrupt)
			}
			parent = int(at)
		}
		r.ops = append(r.ops, op)
		r.times.add(int32(parent), code == 0, c.t.operations[op].kind)
	}
	r.parentIDs = c.parentIDs.bytes(8 * uint64(missing))
	r.times.arrange()
	return nil
}

func (c *cursor) readTimes() {
	r := &c.current
	if r.spans == 0 {
		return
	}
	c.readBase()
	for _, i := range r.times.order {
		r.times.gaps[i] = unzigzag(c.gapBits.classed(c.gaps.byte()))
		class := c.tails.byte()
		tail := c.tailBits.classed(class &^ negative)
		if class&negative != 0 {
			tail = -tail
		}
		r.times.tails[i] = int64(tail)
	}
	r.times.join(c.base)
	first, last := r.times.extent()
	r.start, r.duration = first, last-first
	r.shares = shareState{root: r.times.rootDuration()}
}

// placeColumns sends the columns that the release's spans need to their values.
func (c *cursor) placeColumns() error {
	needed := c.needed
	clear(needed)
	mark := func(op int32) {
		for _, column := range c.t.varyingOf(&c.t.operations[op]) {
			needed[column] = true
		}
	}
	for _, op := range c.current.ops {
		mark(op)
	}
	// Events and links of the release stand at the front of what is left of theirs.
	subs, counts := c.subOps, c.counts
	for _, op := range c.current.ops {
		bits := c.t.operations[op].bits
		for _, of := range subRecords {
			if bits&of.bit == 0 {
				continue
			}
			for range counts.count(subs.len() / c.width) {
				sub := c.operation(&subs, of.record)
				if sub < 0 {
					return fmt.Errorf("%w: events", ErrCorrupt)
				}
				c.current.subOps = append(c.current.subOps, sub)
				mark(sub)
			}
		}
	}
	clear(c.ahead)
	for op, n := range c.before {
		if n == 0 {
			continue
		}
		for _, column := range c.t.varyingOf(&c.t.operations[op]) {
			c.ahead[column] += n
		}
	}
	for i, need := range needed {
		if !need {
			continue
		}
		if c.columns[i] == nil {
			column, err := c.b.openColumn(i, c.t.columns[i])
			if err != nil {
				return err
			}
			c.columns[i] = column
		}
		c.columns[i].seek(c.ahead[i], c.t.templates)
	}
	return nil
}

// appendGroups appends the release's ResourceSpans; it ends early where the buffer is longer than limit, or something is missing.
func (c *cursor) appendGroups(buf []byte, limit int) ([]byte, int) {
	r := &c.current
	span := 0
	for k := 0; k < len(r.groups); {
		resource := &c.t.entities[c.t.pairs[r.groups[k].pair].resource]
		var at int
		buf, at = begin(buf, tagRepeated)
		buf = c.appendResource(buf, resource, r.groups[k].released)
		for first := true; k < len(r.groups) && (first || !r.groups[k].newResource); k++ {
			first = false
			scope := &c.t.entities[c.t.pairs[r.groups[k].pair].scope]
			var in int
			buf, in = begin(buf, tagScopeSpans)
			buf = append(appendTagged(buf, tagScope, len(scope.otlp)), scope.otlp...)
			for range r.groups[k].spans {
				if buf = c.appendSpan(buf, span, limit); c.b.failed || len(buf) > limit {
					c.b.failed = true
					return buf, span
				}
				span++
			}
			buf = end(appendNonEmpty(buf, tagScopeURL, scope.url), in)
		}
		buf = end(appendNonEmpty(buf, tagResourceURL, resource.url), at)
		if len(buf) > limit {
			c.b.failed = true
			return buf, span
		}
	}
	return buf, span
}

// appendResource appends a resource, with the time of release where it says that.
func (c *cursor) appendResource(buf []byte, x *entityInfo, released uint64) []byte {
	if x.released == 0 {
		return append(appendTagged(buf, tagResource, len(x.otlp)), x.otlp...)
	}
	c.attributes = appendReleased(c.attributes[:0], released)
	buf = appendTagged(buf, tagResource, len(x.otlp)+len(c.attributes))
	at := x.released - 1
	return append(append(append(buf, x.otlp[:at]...), c.attributes...), x.otlp[at:]...)
}

func (c *cursor) appendSpan(buf []byte, i, limit int) []byte {
	r := &c.current
	op := &c.t.operations[r.ops[i]]
	buf, at := begin(buf, tagSpans)
	buf = appendID(buf, tagTraceID, r.traceID[:])
	buf = appendID(buf, tagSpanID, r.ids[8*i:][:8])
	// Attributes come after the fields that follow the trace state, which stands among them in its column.
	c.attributes = c.appendAttributes(c.attributes[:0], op, tagAttributes, i, limit)
	buf = appendNonEmpty(buf, tagTraceState, c.state)
	buf = appendID(buf, tagParentID, c.parentID(i))
	if op.flags != 0 {
		buf = append(buf, tagFlags&0x7f|0x80, tagFlags>>7) // as a varint
		buf = binary.LittleEndian.AppendUint32(buf, op.flags)
	}
	buf = appendNonEmpty(buf, tagName, c.t.texts.at(op.name))
	buf = appendNonZero(buf, tagKind, uint64(int32(op.kind)))
	buf = appendFixed64(buf, tagStart, r.times.starts[i])
	buf = appendFixed64(buf, tagEnd, r.times.ends[i])
	buf = append(buf, c.attributes...)
	message := c.message
	var dropped [3]uint64
	if op.bits&hasDropped != 0 {
		for k := range dropped {
			dropped[k] = uint64(uint32(c.dropped.uvarint()))
		}
	}
	buf = appendNonZero(buf, tagDropped, dropped[0])
	if op.bits&hasEvents != 0 {
		for range c.counts.count(c.subOps.len() / c.width) {
			if buf = c.appendEvent(buf, i, limit); c.b.failed || len(buf) > limit {
				return buf
			}
		}
	}
	buf = appendNonZero(buf, tagDroppedEvents, dropped[1])
	if op.bits&hasLinks != 0 {
		for range c.counts.count(c.subOps.len() / c.width) {
			if buf = c.appendLink(buf, i, limit); c.b.failed || len(buf) > limit {
				return buf
			}
		}
	}
	buf = appendNonZero(buf, tagDroppedLinks, dropped[2])
	buf, status := begin(buf, tagStatus)
	buf = appendNonEmpty(buf, tagStatusMessage, message)
	buf = end(appendNonZero(buf, tagStatusCode, uint64(int32(op.status))), status)
	return end(buf, at)
}

// parentID is the id of the parent, nil where there is none. Those of missing parents are asked for in the order of the spans.
func (c *cursor) parentID(i int) []byte {
	r := &c.current
	if parent := r.times.parents[i]; parent != noParent {
		return r.ids[8*parent:][:8]
	}
	if r.times.roots[i] {
		return nil
	}
	id := r.parentIDs[:8]
	r.parentIDs = r.parentIDs[8:]
	return id
}

func (c *cursor) appendEvent(buf []byte, span, limit int) []byte {
	time := c.current.times.starts[span] + uint64(unzigzag(c.eventBits.classed(c.eventTimes.byte())))
	number := c.operation(&c.subOps, recordEvent)
	if number < 0 {
		return buf
	}
	op := &c.t.operations[number]
	buf, at := begin(buf, tagEvents)
	buf = appendFixed64(buf, tagEventTime, time)
	buf = appendNonEmpty(buf, tagEventName, c.t.texts.at(op.name))
	buf = c.appendAttributes(buf, op, tagEventAttributes, -1, limit)
	if op.bits&hasDropped != 0 {
		buf = appendNonZero(buf, tagEventDropped, uint64(uint32(c.dropped.uvarint())))
	}
	return end(buf, at)
}

func (c *cursor) appendLink(buf []byte, span, limit int) []byte {
	r := &c.current
	id, distance := c.linkID()
	number := c.operation(&c.subOps, recordLink)
	if number < 0 {
		return buf
	}
	op := &c.t.operations[number]
	traceID := r.traceID[:]
	switch {
	case len(id) == 24:
		traceID, id = id[:16], id[16:]
	case id == nil:
		at := int64(span) - distance
		if at < 0 || at >= int64(r.spans) {
			c.b.failed = true
			return buf
		}
		id = r.ids[8*at:][:8]
	}
	buf, at := begin(buf, tagLinks)
	buf = appendID(buf, tagTraceID, traceID)
	buf = appendID(buf, tagSpanID, id)
	c.attributes = c.appendAttributes(c.attributes[:0], op, tagLinkAttributes, -1, limit)
	buf = appendNonEmpty(buf, tagTraceState, c.state)
	buf = append(buf, c.attributes...)
	if op.bits&hasDropped != 0 {
		buf = appendNonZero(buf, tagLinkDropped, uint64(uint32(c.dropped.uvarint())))
	}
	if op.flags != 0 {
		buf = binary.LittleEndian.AppendUint32(append(buf, tagLinkFlags), op.flags)
	}
	return end(buf, at)
}
