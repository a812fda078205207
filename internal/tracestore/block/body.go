package block

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/otlpwire"
)

// Body is the second half of a block. It decompresses what it is asked for and keeps that until Close. It is not safe for concurrent
// use.
type Body struct {
	version                                       byte
	releases, spans, subs, operations, numColumns int

	lengths []int
	frameOf []int32
	starts  []int // of streams in their frames
	frames  []frame
	limit   int    // of a release as OTLP
	idSum   uint64 // checksum of the trace ids, from version 2 on
	failed  bool   // something read was not there

	tables *tables // once they are read
	cursor *cursor // once a release is read
	buf    []byte
	// decoder makes the traces of one body: what it makes shares memory.
	decoder otlpwire.TracesDecoder
}

// OpenBody opens what Encode appended to body. data is kept and must not change until Close. The error is ErrCorrupt or ErrVersion.
func OpenBody(data []byte) (*Body, error) {
	version, directory, content, err := unseal(data, bodyMagic)
	if err != nil {
		return nil, err
	}
	b := &Body{version: version, limit: min(maxExpanded(len(content)), MaxReleaseBytes)}
	r := codec.NewReader(directory)
	limit := maxExpanded(len(content))
	for _, n := range []*int{&b.releases, &b.spans, &b.subs, &b.operations} {
		*n = r.Below(limit)
	}
	b.numColumns = r.Count(1)
	if version > 1 {
		b.idSum = r.Fixed64()
	}
	b.readLengths(r, limit)
	if r.Failed() || b.releases > MaxReleases {
		return nil, fmt.Errorf("%w: directory of the body", ErrCorrupt)
	}
	var frames int
	b.frameOf, frames = assignFrames(b.lengths, make([]int32, 0, len(b.lengths)))
	if b.frames, err = readFrames(r, content, b.lengths, b.frameOf, frames); err != nil {
		return nil, err
	}
	if !r.Done() || !b.plausible() {
		return nil, fmt.Errorf("%w: directory of the body", ErrCorrupt)
	}
	b.starts = make([]int, len(b.lengths))
	ends := make([]int, frames)
	for stream, frame := range b.frameOf {
		b.starts[stream] = ends[frame]
		ends[frame] += b.lengths[stream]
	}
	return b, nil
}

func (b *Body) readLengths(r *codec.Reader, limit int) {
	b.lengths = make([]int, numStreams+columnStreams*b.numColumns)
	for i := range numStreams {
		if b.version == 1 && (i == streamReleased || i == streamReleasedBits) {
			continue
		}
		b.lengths[i] = r.Below(limit)
	}
	for at := numStreams; at < len(b.lengths); at += columnStreams {
		present := r.Byte()
		for i := range columnStreams {
			if present&(1<<i) != 0 {
				b.lengths[at+i] = r.Below(limit)
			}
		}
	}
}

// plausible says whether the counts are those of the streams.
func (b *Body) plausible() bool {
	width := operationWidth(b.operations)
	l := b.lengths
	ids := 0
	if b.version == 1 {
		ids = 16 * b.releases
	}
	return l[streamTraceIDs] == ids && l[streamSpanIDs] == 8*b.spans && l[streamGaps] == b.spans &&
		l[streamTails] == b.spans && l[streamSpanOps] == width*b.spans && l[streamSubOps] == width*b.subs &&
		l[streamParents] >= b.spans && l[streamGroups] >= b.releases
}

// stream is a stream's content.
func (b *Body) stream(i int) ([]byte, error) {
	n := b.lengths[i]
	if n == 0 {
		return nil, nil
	}
	data, err := b.frames[b.frameOf[i]].read()
	if err != nil {
		return nil, err
	}
	return data[b.starts[i]:][:n:n], nil
}

// streamOf is a stream and where it is to be read.
type streamOf struct {
	number int
	to     *byteStream
}

// byteStreams opens several streams.
func (b *Body) byteStreams(list []streamOf) error {
	for _, s := range list {
		buf, err := b.stream(s.number)
		if err != nil {
			return err
		}
		*s.to = byteStream{buf: buf, failed: &b.failed}
	}
	return nil
}

// Close gives the memory back. Nothing that the Body answered refers to it.
func (b *Body) Close() {
	for i := range b.frames {
		b.frames[i].close()
	}
	codec.GiveBuffer(b.buf)
	if b.tables != nil {
		b.tables.close()
	}
	if b.cursor != nil {
		b.cursor.close()
	}
	b.tables, b.cursor, b.buf = nil, nil, nil
}

// Len is the number of releases.
func (b *Body) Len() int { return b.releases }

// BelongsTo says whether the body is that of so many releases with these ids, as its head has them.
func (b *Body) BelongsTo(n int, id func(i int) pcommon.TraceID) bool {
	if n != b.releases {
		return false
	}
	sum := xxhash.New()
	for i := range n {
		id := id(i)
		_, _ = sum.Write(id[:]) // it never fails
	}
	return b.version == 1 || sum.Sum64() == b.idSum
}

// AppendOTLP appends the i-th release, whose trace id the caller knows, to buf as OTLP TracesData, the fields of a message in the order of their numbers (pdata marshals
// them in the opposite order; it reads both alike). It is cheapest in ascending order of i. The error is ErrCorrupt.
func (b *Body) AppendOTLP(buf []byte, i int, id pcommon.TraceID) ([]byte, error) {
	if i < 0 || i >= b.releases {
		panic(fmt.Sprintf("release %d of %d", i, b.releases))
	}
	c, err := b.open()
	if err != nil {
		return buf, err
	}
	if err := c.seek(i); err != nil {
		return buf, err
	}
	out, err := c.appendRelease(buf, id)
	if err == nil && b.failed {
		err = fmt.Errorf("%w: release %d", ErrCorrupt, i)
	}
	if err != nil {
		b.cursor = nil
		b.failed = false
		return buf, err
	}
	return out, nil
}

// Traces is the i-th release, whose trace id the caller knows. The caller owns it. It is cheapest in ascending order of i. The error is ErrCorrupt.
func (b *Body) Traces(i int, id pcommon.TraceID) (ptrace.Traces, error) {
	if b.buf == nil {
		b.buf = codec.TakeBuffer(64 << 10)
	}
	otlp, err := b.AppendOTLP(b.buf[:0], i, id)
	if err != nil {
		return ptrace.Traces{}, err
	}
	b.buf = otlp
	td, err := b.decoder.Decode(string(otlp))
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return td, nil
}

// Check reads everything in the body, but makes no spans of it. The error is ErrCorrupt.
func (b *Body) Check() error {
	for i := range b.frames {
		if _, err := b.frames[i].read(); err != nil {
			return err
		}
	}
	_, err := b.readTables()
	return err
}

// open reads the tables and makes a cursor.
func (b *Body) open() (*cursor, error) {
	if b.cursor != nil {
		return b.cursor, nil
	}
	t, err := b.readTables()
	if err != nil {
		return nil, err
	}
	b.cursor, err = newCursor(b, t)
	return b.cursor, err
}
