package traceassemblyprocessor

import (
	"encoding/binary"
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
)

// A record of calls is an intent or a mark:
//
//	mark    'm', version, the position of the intent
//	intent  'i', version, released_at, table of strings, table of arrivals' positions, releases
//	release tenant, trace id, version, entry, earliest root's start and id, missing parents, spans
//	span    arrival, index in it, id, hash of its times, kind and whether attributes follow, operation, attributes
//
// Numbers are varints but for ids, times and positions; strings stand as numbers in the table. The attributes are those that
// assembly wrote.
const (
	markRecord    = 'm'
	intentRecord  = 'i'
	callsVersion  = 1
	positionBytes = 8
	// patchedBit marks the kind of a span that attributes follow.
	patchedBit = 0x80
	// minReleaseBytes and minSpanBytes are the least that one takes.
	minReleaseBytes = 16
	minSpanBytes    = 8
)

// remembered is what an intent says of a trace besides its spans: the header of its skeleton after the release.
type remembered struct {
	version    int
	entry      operation
	rootStart  pcommon.Timestamp
	rootID     pcommon.SpanID
	missing    []missedParent
	operations []operation // of the release's spans
}

type missedParent struct {
	id    pcommon.SpanID
	child operation
}

// intent is one that was read.
type intent struct {
	releasedAt int64
	releases   []intendedRelease
	found      int // spans
	spans      int
}

type intendedRelease struct {
	remembered
	key   traceKey
	spans []intendedSpan
}

type intendedSpan struct {
	ref   spanRef
	bones skeletonSpan // op is not set
	patch []patch
	held  heldSpan // once it was found in the arrivals
	found bool
}

// patch is an attribute that assembly wrote.
type patch struct {
	key  string
	kind pcommon.ValueType // ValueTypeStr, ValueTypeInt, ValueTypeBool, or ValueTypeSlice of strings
	str  string
	num  int64
	list []string
}

func encodeMark(of journal.Position) []byte {
	return appendPosition([]byte{markRecord, callsVersion}, of)
}

func appendPosition(buf []byte, p journal.Position) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(buf, p.Segment), p.Offset)
}

func readPosition(r *codec.Reader) journal.Position {
	return journal.Position{Segment: r.Fixed32(), Offset: r.Fixed32()}
}

// intentWriter collects the tables while it writes releases.
type intentWriter struct {
	body     []byte
	strings  map[string]int
	text     []byte
	arrivals map[journal.Position]int
	last     journal.Position // looked up
	lastAt   int
	places   []byte
}

// encodeIntent writes what a call is made of. Its spans must not have been handed on yet.
func encodeIntent(c *call) []byte {
	w := &intentWriter{strings: make(map[string]int), arrivals: make(map[journal.Position]int), lastAt: noSpan}
	w.number(len(c.releases))
	for _, r := range c.releases {
		w.release(r)
	}
	buf := make([]byte, 0, 2+8+2*binary.MaxVarintLen64+len(w.text)+len(w.places)+len(w.body))
	buf = append(buf, intentRecord, callsVersion)
	buf = binary.BigEndian.AppendUint64(buf, uint64(c.releasedAt))
	buf = binary.AppendUvarint(buf, uint64(len(w.strings)))
	buf = append(buf, w.text...)
	buf = binary.AppendUvarint(buf, uint64(len(w.arrivals)))
	buf = append(buf, w.places...)
	return append(buf, w.body...)
}

func (w *intentWriter) number(n int) { w.body = binary.AppendUvarint(w.body, uint64(n)) }

func (w *intentWriter) string(s string) {
	n, ok := w.strings[s]
	if !ok {
		n = len(w.strings)
		w.strings[s] = n
		w.text = codec.AppendString(w.text, s)
	}
	w.number(n)
}

func (w *intentWriter) operation(op operation) {
	w.string(op.service)
	w.string(op.name)
}

func (w *intentWriter) arrival(p journal.Position) {
	if w.lastAt == noSpan || p != w.last {
		n, ok := w.arrivals[p]
		if !ok {
			n = len(w.arrivals)
			w.arrivals[p] = n
			w.places = appendPosition(w.places, p)
		}
		w.last, w.lastAt = p, n
	}
	w.number(w.lastAt)
}

func (w *intentWriter) release(r *release) {
	w.string(r.key.tenant)
	w.body = append(w.body, r.key.id[:]...)
	w.number(r.memory.version)
	w.operation(r.memory.entry)
	w.body = binary.BigEndian.AppendUint64(w.body, uint64(r.memory.rootStart))
	w.body = append(w.body, r.memory.rootID[:]...)
	w.number(len(r.memory.missing))
	for _, m := range r.memory.missing {
		w.body = append(w.body, m.id[:]...)
		w.operation(m.child)
	}
	w.number(len(r.spans))
	for i := range r.spans {
		h := &r.spans[i]
		w.arrival(h.ref.record)
		w.number(int(h.ref.index))
		w.body = append(w.body, h.id[:]...)
		w.body = binary.BigEndian.AppendUint32(w.body, h.times)
		kind := byte(h.kind)
		if h.patched {
			kind |= patchedBit
		}
		w.body = append(w.body, kind)
		w.operation(r.memory.operations[i])
		if h.patched {
			w.patch(h.span.Attributes())
		}
	}
}

func (w *intentWriter) patch(attrs pcommon.Map) {
	var own []patch
	for key, value := range attrs.All() {
		if p, ok := patchOf(key, value); ok {
			own = append(own, p)
		}
	}
	w.number(len(own))
	for _, p := range own {
		w.string(p.key)
		w.body = append(w.body, byte(p.kind))
		switch p.kind {
		case pcommon.ValueTypeStr:
			w.string(p.str)
		case pcommon.ValueTypeSlice:
			w.number(len(p.list))
			for _, s := range p.list {
				w.string(s)
			}
		default:
			w.body = binary.AppendVarint(w.body, p.num)
		}
	}
}

// patchOf is the attribute where assembly may have written it. Trusted annotations of other types come with the arrival.
func patchOf(key string, value pcommon.Value) (patch, bool) {
	if !strings.HasPrefix(key, conventions.Prefix) {
		return patch{}, false
	}
	p := patch{key: key, kind: value.Type()}
	switch value.Type() {
	case pcommon.ValueTypeStr:
		p.str = value.Str()
	case pcommon.ValueTypeInt:
		p.num = value.Int()
	case pcommon.ValueTypeBool:
		if value.Bool() {
			p.num = 1
		}
	case pcommon.ValueTypeSlice:
		for _, v := range value.Slice().All() {
			if v.Type() != pcommon.ValueTypeStr {
				return patch{}, false
			}
			p.list = append(p.list, v.Str())
		}
	default:
		return patch{}, false
	}
	return p, true
}

func (p *patch) apply(span ptrace.Span) {
	attrs := span.Attributes()
	switch p.kind {
	case pcommon.ValueTypeStr:
		attrs.PutStr(p.key, p.str)
	case pcommon.ValueTypeInt:
		attrs.PutInt(p.key, p.num)
	case pcommon.ValueTypeBool:
		attrs.PutBool(p.key, p.num != 0)
	case pcommon.ValueTypeSlice:
		list := attrs.PutEmptySlice(p.key)
		for _, s := range p.list {
			list.AppendEmpty().SetStr(s)
		}
	}
}

// callsRecord is a record of calls: a mark, or an intent.
type callsRecord struct {
	mark   journal.Position
	intent *intent // nil for a mark
}

func decodeCalls(record []byte) (callsRecord, error) {
	r := codec.NewReader(record)
	kind, version := r.Byte(), r.Byte()
	if r.Failed() || version != callsVersion {
		return callsRecord{}, errRecord
	}
	var c callsRecord
	switch kind {
	case markRecord:
		c.mark = readPosition(r)
	case intentRecord:
		c.intent = decodeIntent(r)
	default:
		return callsRecord{}, errRecord
	}
	if !r.Done() {
		return callsRecord{}, errRecord
	}
	return c, nil
}

// intentReader reads an intent behind its tables.
type intentReader struct {
	*codec.Reader
	strings  []string
	arrivals []journal.Position
}

func decodeIntent(reader *codec.Reader) *intent {
	r := &intentReader{Reader: reader}
	in := &intent{releasedAt: int64(r.Fixed64())}
	for n := r.Count(1); n > 0 && !r.Failed(); n-- {
		r.strings = append(r.strings, r.String())
	}
	for n := r.Count(positionBytes); n > 0 && !r.Failed(); n-- {
		r.arrivals = append(r.arrivals, readPosition(reader))
	}
	for n := r.Count(minReleaseBytes); n > 0 && !r.Failed(); n-- {
		in.releases = append(in.releases, r.release())
		in.spans += len(in.releases[len(in.releases)-1].spans)
	}
	return in
}

func (r *intentReader) string() string {
	if n := r.Below(len(r.strings)); !r.Failed() {
		return r.strings[n]
	}
	return ""
}

func (r *intentReader) operation() operation { return operation{r.string(), r.string()} }

func (r *intentReader) spanID() (id pcommon.SpanID) {
	copy(id[:], r.Bytes(len(id)))
	return id
}

func (r *intentReader) release() intendedRelease {
	var rel intendedRelease
	rel.key.tenant = r.string()
	copy(rel.key.id[:], r.Bytes(len(rel.key.id)))
	rel.version = r.Below(math.MaxInt32)
	rel.entry = r.operation()
	rel.rootStart, rel.rootID = pcommon.Timestamp(r.Fixed64()), r.spanID()
	for n := r.Count(len(pcommon.SpanID{})); n > 0 && !r.Failed(); n-- {
		rel.missing = append(rel.missing, missedParent{r.spanID(), r.operation()})
	}
	n := r.Count(minSpanBytes)
	rel.spans = make([]intendedSpan, 0, n)
	rel.operations = make([]operation, 0, n)
	for ; n > 0 && !r.Failed(); n-- {
		rel.spans = append(rel.spans, r.span())
		rel.operations = append(rel.operations, r.operation())
		if last := &rel.spans[len(rel.spans)-1]; last.patch != nil {
			last.patch = r.patch()
		}
	}
	return rel
}

// span reads a span as far as its operation. Where attributes follow, its patch is not nil.
func (r *intentReader) span() intendedSpan {
	var s intendedSpan
	if at := r.Below(len(r.arrivals)); !r.Failed() {
		s.ref.record = r.arrivals[at]
	}
	s.ref.index = uint32(r.Below(math.MaxInt32))
	s.bones.id = r.spanID()
	s.bones.times = r.Fixed32()
	kind := r.Byte()
	if kind&patchedBit != 0 {
		s.patch = []patch{}
	}
	s.bones.kind, s.bones.next = ptrace.SpanKind(kind&^patchedBit), noSpan
	return s
}

func (r *intentReader) patch() []patch {
	list := []patch{}
	for n := r.Count(2); n > 0 && !r.Failed(); n-- {
		p := patch{key: r.string(), kind: pcommon.ValueType(r.Byte())}
		switch p.kind {
		case pcommon.ValueTypeStr:
			p.str = r.string()
		case pcommon.ValueTypeInt, pcommon.ValueTypeBool:
			p.num = r.Varint()
		case pcommon.ValueTypeSlice:
			for m := r.Count(1); m > 0 && !r.Failed(); m-- {
				p.list = append(p.list, r.string())
			}
		default:
			r.Fail()
		}
		list = append(list, p)
	}
	return list
}
