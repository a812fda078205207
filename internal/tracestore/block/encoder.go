package block

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/attributes"
	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Encoder makes blocks, one after the other. It keeps what it learned about operations and strings from block to block, so it is
// to be kept too: one for each writer. It is not safe for concurrent use.
type Encoder struct {
	zstd    *zstd.Encoder
	release collected

	// The block so far.
	headers       []Header
	traceIDs      []byte
	out           [numStreams][]byte
	gapBits       bitWriter
	tailBits      bitWriter
	baseBits      bitWriter
	eventBits     bitWriter
	releasedBits  bitWriter
	spanOps       []uint32
	defined       []*operation // by number
	added         int          // spans of the release that was added last
	block         uint32       // counts them
	subOps        []uint32
	used          []*column
	epoch         uint32 // of the block
	numTexts      uint32
	numTemplates  uint32
	numEntities   uint32
	numOperations uint32
	base          uint64 // of the release before
	tokens        tokenSet
	keys          keySet
	resources     map[pcommon.Resource]releasedEntity
	released      uint64 // by the resource before
	scopes        map[pcommon.InstrumentationScope]*entity
	entities      map[entityID]*entity
	pairs         map[pairID]uint32
	hangings      []*hanging // by Place
	largest       int        // release
	bytes         int        // of all releases as OTLP

	// The release that is being written.
	releaseSeq      uint32
	places          placeIndex
	times           spanTimes
	memory          memory
	shares          shareState
	selfTime        uint64 // in the record
	start, duration uint64
	others          []int32 // of the record, see match
	any             anyWriter
	scratch         []byte

	// What is kept from block to block, until it is too much.
	texts      texts
	columns    map[columnID]*column
	operations map[uint64]*operation
	guesses    guesses
	templates  map[string]*text
	seen       []uint32 // strings of releases, see remembered
	kept       int      // bytes, about

	templater  templater
	census     census
	definition []byte
	digits     []byte
	rows       rowWriter
	directory  []byte
	filter     []byte
	frame      []byte
	attribute  []byte
	frames     []byte
	streams    [][]byte
	lengths    []int
	frameOf    []int32
}

type pairID struct{ resource, scope *entity }

type columnID struct {
	key  string
	kind kind
}

const (
	// maxKept bounds what an encoder keeps, in bytes.
	maxKept = 16 << 20
	// seenStrings is the number of strings that an encoder remembers as seen once.
	seenStrings = 1 << 15
)

// NewEncoder makes an empty encoder.
func NewEncoder() *Encoder { return newEncoder(zstd.SpeedFastest) }

// NewThoroughEncoder makes one that takes its time to compress. It takes some MiB.
func NewThoroughEncoder() *Encoder { return newEncoder(zstd.SpeedBetterCompression) }

func newEncoder(level zstd.EncoderLevel) *Encoder {
	e := &Encoder{
		zstd: codec.NewCompressor(level), epoch: 1, resources: make(map[pcommon.Resource]releasedEntity), scopes: make(map[pcommon.InstrumentationScope]*entity),
		entities: make(map[entityID]*entity), pairs: make(map[pairID]uint32), seen: make([]uint32, seenStrings),
	}
	e.templater.place = e.places.find
	e.forget()
	return e
}

// forget begins anew with what is kept from block to block.
func (e *Encoder) forget() {
	e.texts = texts{}
	e.columns = make(map[columnID]*column)
	e.operations = make(map[uint64]*operation)
	e.guesses = guesses{}
	e.templates = make(map[string]*text)
	e.kept = 0
}

// Len is the number of releases in the block so far.
func (e *Encoder) Len() int { return len(e.headers) }

// Spans is the number of spans in the block so far.
func (e *Encoder) Spans() int { return len(e.spanOps) }

// Bytes is the size of the releases in the block so far, as OTLP.
func (e *Encoder) Bytes() int { return e.bytes }

// Release lets go of the pdata that Add was given: until then it knows the resources and scopes again that releases share, and so keeps
// all of what they stand in. It is for releases that share none. These may change behind it.
func (e *Encoder) Release() {
	clear(e.resources)
	clear(e.scopes)
	clear(e.hangings)
	e.hangings = e.hangings[:0]
	e.release.letGo()
	e.scratch = reuse(e.scratch)
}

// Reset throws away what was added since the last block.
func (e *Encoder) Reset() {
	for i := range e.out {
		e.out[i] = reuse(e.out[i])
	}
	for _, w := range []*bitWriter{&e.gapBits, &e.tailBits, &e.baseBits, &e.eventBits, &e.releasedBits} {
		w.reset()
	}
	for _, c := range e.used {
		c.last = "" // it may be part of all that was received with it
	}
	clear(e.headers) // they may have been given away
	e.headers, e.spanOps, e.subOps, e.used = e.headers[:0], reuse(e.spanOps), reuse(e.subOps), e.used[:0]
	clear(e.defined)
	e.defined, e.added = reuse(e.defined), 0
	e.frame, e.frames, e.definition = reuse(e.frame), reuse(e.frames), reuse(e.definition)
	e.epoch++
	e.block++
	e.numTexts, e.numTemplates, e.numEntities, e.numOperations = 0, 0, 0, 0
	e.traceIDs = reuse(e.traceIDs)
	e.base, e.released, e.largest, e.bytes = 0, 0, 0, 0
	e.tokens.reset()
	e.keys.reset()
	e.Release()
	clear(e.entities)
	clear(e.pairs)
	if e.kept > maxKept || e.epoch == 0 {
		e.epoch = 1
		e.forget()
	}
}

// Rehearsed throws away what was added since the last block, but not what was learned of it: when the same releases are added again, in their order,
// it is known from the first on which strings come again in others, and what varies.
func (e *Encoder) Rehearsed() {
	first := e.releaseSeq - uint32(len(e.headers))
	e.Reset()
	e.releaseSeq = first
}

// Add appends a release to the block; its number in the block is Len before the call. header is taken over. release and its
// spans are not changed; its resources, scopes and strings must not change before Release, Encode or Reset, until which they are kept. After an error there is
// nothing to do with the block but to Reset it.
func (e *Encoder) Add(release *tracetree.Release, header Header) error {
	if len(e.headers) == MaxReleases {
		return fmt.Errorf("%w: the block has %d releases already", ErrTooLarge, MaxReleases)
	}
	if err := e.collect(release); err != nil {
		return err
	}
	e.releaseSeq++
	e.memory.n, e.scratch = 0, reuse(e.scratch)
	e.traceIDs = append(e.traceIDs, release.TraceID[:]...)
	e.putGroups()
	e.putTree()
	e.putTimes()
	e.putRecords(release)
	size := e.release.measure()
	if size > MaxReleaseBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, MaxReleaseBytes)
	}
	header.Spans, header.Size = len(release.Spans), size
	e.added = len(release.Spans)
	header.Row.TraceID = release.TraceID
	e.headers = append(e.headers, header)
	e.largest = max(e.largest, size)
	e.bytes += size
	return nil
}

// Block tells the blocks of an encoder apart. Numbers of operations are those of one block.
func (e *Encoder) Block() uint32 { return e.block }

// Operations are the numbers of the operations of the spans of the release that was added last. Spans of one operation have the same name and kind,
// and attributes with the same keys and types in the same places, with the same values but in those that Varying lists.
func (e *Encoder) Operations() []uint32 { return e.spanOps[len(e.spanOps)-e.added:] }

// Varying are the places of the attributes of an operation in which values differ, ascending; not all of them need be attributes.
func (e *Encoder) Varying(operation uint32) []int32 { return e.defined[operation].varying }

// putGroups writes the resources and scopes.
func (e *Encoder) putGroups() {
	groups := e.release.groups
	b := binary.AppendUvarint(e.out[streamGroups], uint64(len(groups)))
	sizes := e.out[streamGroupSizes]
	for i := range groups {
		g := &groups[i]
		b = binary.AppendUvarint(b, uint64(g.pair))
		size := uint64(g.spans) << 1
		if g.newResource {
			size |= 1
			if g.resource.hole > 0 {
				e.out[streamReleased] = e.releasedBits.classed(e.out[streamReleased], zigzag(int64(g.released-e.released)))
				e.released = g.released
			}
		}
		sizes = binary.AppendUvarint(sizes, size)
	}
	e.out[streamGroups], e.out[streamGroupSizes] = b, sizes
}

// pairNumber is the number of the resource and the scope together in this block.
func (e *Encoder) pairNumber(resource, scope *entity) uint32 {
	id := pairID{resource, scope}
	n, ok := e.pairs[id]
	if !ok {
		n = uint32(len(e.pairs))
		e.pairs[id] = n
		b := binary.AppendUvarint(e.out[streamPairs], e.entityNumber(resource))
		e.out[streamPairs] = binary.AppendUvarint(b, e.entityNumber(scope))
	}
	return n
}

// putTree writes the spans' ids and their parents.
func (e *Encoder) putTree() {
	spans := e.release.spans
	e.places.fill(spans)
	e.times.reset()
	for i := range spans {
		s := &spans[i]
		e.out[streamSpanIDs] = binary.BigEndian.AppendUint64(e.out[streamSpanIDs], s.id)
		parent := noParent
		if s.parent != 0 {
			parent = e.places.find(s.parent)
		}
		switch {
		case s.parent == 0:
			e.out[streamParents] = append(e.out[streamParents], 0)
		case parent == noParent:
			e.out[streamParents] = append(e.out[streamParents], 1)
			e.out[streamParentIDs] = binary.BigEndian.AppendUint64(e.out[streamParentIDs], s.parent)
		default:
			e.out[streamParents] = binary.AppendUvarint(e.out[streamParents], zigzag(int64(i-parent))+2)
		}
		e.times.add(int32(parent), s.parent == 0, s.kind)
	}
	e.times.arrange()
}

// putTimes writes the spans' times, those of parents before those of their children.
func (e *Encoder) putTimes() {
	spans := e.release.spans
	if len(spans) == 0 {
		return
	}
	t := &e.times
	for i := range spans {
		t.starts[i], t.ends[i] = spans[i].start, spans[i].end
	}
	base := t.starts[t.order[0]]
	out := &e.out
	out[streamBases] = e.baseBits.classed(out[streamBases], zigzag(int64(base-e.base)))
	e.base = base
	t.part(base)
	for _, i := range t.order {
		out[streamGaps] = e.gapBits.classed(out[streamGaps], zigzag(t.gaps[i]))
		tail, sign := uint64(t.tails[i]), byte(0)
		if t.tails[i] < 0 {
			tail, sign = -tail, negative
		}
		out[streamTails] = e.tailBits.classed(out[streamTails], tail)
		out[streamTails][len(out[streamTails])-1] |= sign
	}
	first, last := e.times.extent()
	e.start, e.duration = first, last-first
	e.shares = shareState{root: e.times.rootDuration()}
}

// negative marks the class of a tail below 0.
const negative = 0x80

// putRecords writes the attributes of spans, events and links.
func (e *Encoder) putRecords(release *tracetree.Release) {
	r := &e.release
	for i := range r.spans {
		if i+1 < len(r.spans) {
			attributes.PrefetchValues(release.Spans[i+1].Attributes())
		}
		s, span := &r.spans[i], release.Spans[i].Span
		g := &r.groups[s.group]
		d := details{span.Attributes(), span.TraceState().AsRaw(), span.Status().Message()}
		size := s.size(span, d.state, d.message)
		operation, n := e.put(&s.shape, g.resource.service, s.name, &d, i)
		e.spanOps = append(e.spanOps, operation)
		size += n
		if s.bits&hasDropped != 0 {
			size += e.putDropped(span.DroppedAttributesCount()) + e.putDropped(span.DroppedEventsCount()) + e.putDropped(span.DroppedLinksCount())
		}
		if s.bits&hasEvents != 0 {
			e.out[streamCounts] = binary.AppendUvarint(e.out[streamCounts], uint64(span.Events().Len()))
			for _, event := range span.Events().All() {
				size += fieldSize(e.putEvent(event, s.start))
			}
		}
		if s.bits&hasLinks != 0 {
			e.out[streamCounts] = binary.AppendUvarint(e.out[streamCounts], uint64(span.Links().Len()))
			for _, link := range span.Links().All() {
				size += fieldSize(e.putLink(i, link, release.TraceID))
			}
		}
		g.size += fieldSize(size)
	}
}

// putDropped writes a count and answers its size as a field.
func (e *Encoder) putDropped(n uint32) int {
	e.out[streamDropped] = binary.AppendUvarint(e.out[streamDropped], uint64(n))
	return numberSize(uint64(n))
}

// putEvent writes an event of a span that began at a time, and answers its size.
func (e *Encoder) putEvent(event ptrace.SpanEvent, start uint64) int {
	at, name := uint64(event.Timestamp()), event.Name()
	e.out[streamEventTimes] = e.eventBits.classed(e.out[streamEventTimes], zigzag(int64(at-start)))
	size := e.putSub(shape{record: recordEvent}, name, &details{attributes: event.Attributes()}, event.DroppedAttributesCount())
	return size + fixedSize(at) + nonEmptySize(name)
}

// putLink writes a link of a span, and answers its size.
func (e *Encoder) putLink(span int, link ptrace.SpanLink, release pcommon.TraceID) int {
	traceID, id := link.TraceID(), link.SpanID()
	switch at := e.places.find(binary.BigEndian.Uint64(id[:])); {
	case traceID != release:
		e.out[streamLinks] = append(e.out[streamLinks], 0)
		e.out[streamLinkIDs] = append(append(e.out[streamLinkIDs], traceID[:]...), id[:]...)
	case at < 0:
		e.out[streamLinks] = append(e.out[streamLinks], 1)
		e.out[streamLinkIDs] = append(e.out[streamLinkIDs], id[:]...)
	default:
		e.out[streamLinks] = binary.AppendUvarint(e.out[streamLinks], zigzag(int64(span-at))+2)
	}
	state, flags := link.TraceState().AsRaw(), link.Flags()
	size := e.putSub(shape{record: recordLink, flags: flags}, "", &details{link.Attributes(), state, ""}, link.DroppedAttributesCount())
	if flags != 0 {
		size += 1 + 4
	}
	return size + idSize(16, traceID.IsEmpty()) + idSize(8, id.IsEmpty()) + nonEmptySize(state)
}

// putSub writes what events and links have in common, and answers its size.
func (e *Encoder) putSub(s shape, name string, d *details, dropped uint32) (size int) {
	if dropped > 0 {
		s.bits = hasDropped
		size = e.putDropped(dropped)
	}
	operation, n := e.put(&s, nil, name, d, -1)
	e.subOps = append(e.subOps, operation)
	return size + n
}
