package traceassemblyprocessor

import (
	"encoding/binary"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
)

// A record of calls is an intent, a mark, or says what was dropped:
//
//	mark      'm', version, the position of the intent
//	dropped   'd', version; spans: arrival's position, index in it
//	intent    'i', version, released_at, tables of strings, operations, endpoints, arrivals' positions; releases
//	operation service, name
//	endpoint  service, name, kind, protocol, environment
//	release   tenant, trace id, flags, version, outcome counted, start of the root, entry, missing parents, retractions, spans,
//	          peers: span, endpoint
//	missing   id, duration, calls, whether it failed, endpoint
//	span      arrival, index in it, id, hash of its times, kind and flags, operation; attributes where the flag says so
//
// The releases are those of a call, or of several that are handed on together: another one begins where a trace comes again.
//
// Numbers are varints but for ids, times and positions; strings and what is made of them stand as numbers in their tables. The
// attributes are those that assembly wrote.
const (
	markRecord    = 'm'
	droppedRecord = 'd'
	intentRecord  = 'i'
	callsVersion  = 1
	positionBytes = 8

	// Bits beside a span's kind.
	patchedBit  = 0x80 // attributes follow
	failedBit   = 0x40
	conflictBit = 0x20

	// Bits of a release.
	partialFlag = 1
	failedFlag  = 2
	rootedFlag  = 4
	openFlag    = 8

	// The least that one of them takes.
	minReleaseBytes = 16
	minSpanBytes    = 8
	minMissingBytes = 8
)

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
	patch patches

	// Once it was found in the arrivals.
	held   heldSpan
	raw    string
	origin *heldOrigin // nil until then
}

func encodeMark(of journal.Position) []byte {
	return appendPosition([]byte{markRecord, callsVersion}, of)
}

func encodeDropped(spans []spanRef) []byte {
	buf := make([]byte, 0, 8+(positionBytes+2)*len(spans))
	buf = append(buf, droppedRecord, callsVersion)
	buf = binary.AppendUvarint(buf, uint64(len(spans)))
	for _, s := range spans {
		buf = binary.AppendUvarint(appendPosition(buf, s.record), uint64(s.index))
	}
	return buf
}

func appendPosition(buf []byte, p journal.Position) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(buf, p.Segment), p.Offset)
}

func readPosition(r *codec.Reader) journal.Position {
	return journal.Position{Segment: r.Fixed32(), Offset: r.Fixed32()}
}

// intentWriter collects the tables while it writes releases.
type intentWriter struct {
	body       []byte
	strings    table[string]
	operations table[*symbol[operation]] // shards have symbols of their own; one operation may stand several times
	endpoints  table[*symbol[endpoint]]
	arrivals   table[journal.Position]
}

// table numbers what stands in it, in the order of first use.
type table[K comparable] struct {
	numbers map[K]int
	list    []byte
	last    K // looked up
	lastAt  int
}

// at is the number of an entry, which add writes where it is new.
func (t *table[K]) at(key K, add func(list []byte) []byte) int {
	if t.numbers == nil {
		t.numbers = make(map[K]int)
	} else if key == t.last {
		return t.lastAt
	}
	n, ok := t.numbers[key]
	if !ok {
		n = len(t.numbers)
		t.numbers[key] = n
		t.list = add(t.list)
	}
	t.last, t.lastAt = key, n
	return n
}

func (t *table[K]) append(buf []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(t.numbers))), t.list...)
}

// encodeIntent writes what a call is made of. Its releases must not have been forgotten (see call.forget).
func encodeIntent(c *call) []byte {
	spans, releases := 0, 0
	for _, one := range c.calls() {
		spans, releases = spans+one.spans, releases+len(one.releases)
	}
	w := &intentWriter{body: make([]byte, 0, intentBytes*spans)}
	w.number(releases)
	for _, one := range c.calls() {
		for _, r := range one.releases {
			w.release(r)
		}
	}
	buf := make([]byte, 0, 64+len(w.strings.list)+len(w.operations.list)+len(w.endpoints.list)+len(w.arrivals.list)+len(w.body))
	buf = append(buf, intentRecord, callsVersion)
	buf = binary.BigEndian.AppendUint64(buf, uint64(c.releasedAt))
	buf = w.strings.append(buf)
	buf = w.operations.append(buf)
	buf = w.endpoints.append(buf)
	buf = w.arrivals.append(buf)
	return append(buf, w.body...)
}

// intentBytes is what a span takes in an intent, more or less.
const intentBytes = 24

func (w *intentWriter) number(n int) { w.body = binary.AppendUvarint(w.body, uint64(n)) }

func (w *intentWriter) stringAt(s string) int {
	return w.strings.at(s, func(list []byte) []byte { return codec.AppendString(list, s) })
}

func (w *intentWriter) string(s string) { w.number(w.stringAt(s)) }

func (w *intentWriter) appendStrings(list []byte, strings ...string) []byte {
	for _, s := range strings {
		list = binary.AppendUvarint(list, uint64(w.stringAt(s)))
	}
	return list
}

func (w *intentWriter) operation(op *symbol[operation]) {
	w.number(w.operations.at(op, func(list []byte) []byte { return w.appendStrings(list, op.name.service, op.name.name) }))
}

func (w *intentWriter) endpoint(e *symbol[endpoint]) {
	w.number(w.endpoints.at(e, func(list []byte) []byte {
		return w.appendStrings(list, e.name.service, e.name.name, e.name.kind, e.name.protocol, e.name.environment)
	}))
}

func (w *intentWriter) arrival(p journal.Position) {
	w.number(w.arrivals.at(p, func(list []byte) []byte { return appendPosition(list, p) }))
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func (w *intentWriter) release(r *release) {
	m := r.memory
	w.string(r.key.tenant)
	w.body = append(w.body, r.key.id[:]...)
	w.body = append(w.body, flag(m.partial, partialFlag)|flag(m.failed, failedFlag)|flag(m.rooted, rootedFlag)|flag(m.open, openFlag))
	w.number(int(m.version))
	w.body = append(w.body, m.counted)
	w.body = binary.BigEndian.AppendUint64(w.body, uint64(m.rootStart))
	w.endpoint(m.entry)
	w.number(len(m.missing))
	for i := range m.missing {
		missed := &m.missing[i]
		w.body = append(w.body, missed.id[:]...)
		w.body = binary.AppendVarint(w.body, missed.duration)
		w.number(int(missed.calls))
		w.body = append(w.body, flag(missed.failed, 1))
		w.endpoint(missed.child)
	}
	w.number(len(m.retracted))
	for _, back := range m.retracted {
		w.body = append(w.body, back.id[:]...)
		w.body = append(w.body, back.kind)
	}
	w.number(len(r.spans))
	for i := range r.spans {
		w.span(&r.spans[i], m.operations[i], r.patched(&r.spans[i]))
	}
	w.number(len(m.peers))
	for _, p := range m.peers {
		w.number(p.span)
		w.endpoint(p.peer)
	}
}

func (w *intentWriter) span(h *heldSpan, op *symbol[operation], patch patches) {
	patched := len(patch) > 0
	w.arrival(h.ref.record)
	w.number(int(h.ref.index))
	w.body = append(w.body, h.id[:]...)
	w.body = binary.BigEndian.AppendUint32(w.body, h.times)
	w.body = append(w.body, byte(h.kind)|flag(patched, patchedBit)|flag(h.failed, failedBit)|flag(h.conflict, conflictBit))
	w.operation(op)
	if patched {
		w.patch(patch)
	}
}

func (w *intentWriter) patch(own patches) {
	w.number(len(own))
	for i := range own {
		w.string(own[i].key)
		w.value(&own[i])
	}
}

func (w *intentWriter) value(p *patch) {
	w.body = append(w.body, byte(p.kind))
	switch p.kind {
	case pcommon.ValueTypeStr:
		w.string(p.str)
	case pcommon.ValueTypeSlice:
		w.number(len(p.list))
		for i := range p.list {
			w.value(&p.list[i])
		}
	default:
		w.body = binary.AppendVarint(w.body, p.num)
	}
}

// callsRecord is a record of calls: one of the three.
type callsRecord struct {
	mark    journal.Position
	dropped []spanRef
	intent  *intent
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
	case droppedRecord:
		for n := r.Count(positionBytes + 1); n > 0 && !r.Failed(); n-- {
			c.dropped = append(c.dropped, spanRef{readPosition(r), uint32(r.Below(math.MaxInt32))})
		}
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
	strings    []string
	operations []*symbol[operation]
	endpoints  []*symbol[endpoint]
	arrivals   []journal.Position
}

func decodeIntent(reader *codec.Reader) *intent {
	r := &intentReader{Reader: reader}
	in := &intent{releasedAt: int64(r.Fixed64())}
	for n := r.Count(1); n > 0 && !r.Failed(); n-- {
		r.strings = append(r.strings, string(r.Bytes(r.Count(1)))) // not String: one name would keep the whole intent
	}
	for n := r.Count(2); n > 0 && !r.Failed(); n-- {
		r.operations = append(r.operations, &symbol[operation]{name: operation{r.string(), r.string()}})
	}
	for n := r.Count(5); n > 0 && !r.Failed(); n-- {
		e := endpoint{operation: operation{r.string(), r.string()}, kind: r.string(), protocol: r.string(), environment: r.string()}
		r.endpoints = append(r.endpoints, &symbol[endpoint]{name: e})
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

// entryOf reads a number in a table, and answers what stands there.
func entryOf[T any](r *intentReader, table []T) (entry T) {
	if n := r.Below(len(table)); !r.Failed() {
		return table[n]
	}
	return entry
}

func (r *intentReader) string() string { return entryOf(r, r.strings) }

func (r *intentReader) spanID() (id pcommon.SpanID) {
	copy(id[:], r.Bytes(len(id)))
	return id
}

func (r *intentReader) release() intendedRelease {
	var rel intendedRelease
	rel.key.tenant = r.string()
	copy(rel.key.id[:], r.Bytes(len(rel.key.id)))
	flags := r.Byte()
	rel.partial, rel.failed, rel.rooted = flags&partialFlag != 0, flags&failedFlag != 0, flags&rootedFlag != 0
	rel.open = flags&openFlag != 0
	rel.version = uint32(r.Below(math.MaxInt32))
	rel.counted = r.Byte()
	if int(rel.counted) > len(conventions.Outcomes) {
		r.Fail()
	}
	rel.rootStart = pcommon.Timestamp(r.Fixed64())
	rel.entry = entryOf(r, r.endpoints)
	for n := r.Count(minMissingBytes); n > 0 && !r.Failed(); n-- {
		m := missingParent{id: r.spanID(), duration: r.Varint(), calls: uint16(r.Uvarint()), failed: r.Byte() != 0}
		rel.missing = append(rel.missing, missedParent{m, entryOf(r, r.endpoints)})
	}
	for n := r.Count(minMissingBytes); n > 0 && !r.Failed(); n-- {
		rel.retracted = append(rel.retracted, retraction{r.spanID(), r.Byte()})
	}
	n := r.Count(minSpanBytes)
	rel.spans, rel.operations = make([]intendedSpan, 0, n), make([]*symbol[operation], 0, n)
	for ; n > 0 && !r.Failed(); n-- {
		rel.spans = append(rel.spans, r.span(&rel.remembered))
	}
	for n := r.Count(2); n > 0 && !r.Failed(); n-- {
		rel.peers = append(rel.peers, knownPeer{r.Below(len(rel.spans)), entryOf(r, r.endpoints)})
	}
	return rel
}

func (r *intentReader) span(m *remembered) (s intendedSpan) {
	s.ref.record = entryOf(r, r.arrivals)
	s.ref.index = uint32(r.Below(math.MaxInt32))
	s.bones.id = r.spanID()
	s.bones.times = r.Fixed32()
	kind := r.Byte()
	s.bones.kind = kind &^ (patchedBit | failedBit | conflictBit)
	s.bones.failed, s.bones.conflict = kind&failedBit != 0, kind&conflictBit != 0
	m.operations = append(m.operations, entryOf(r, r.operations))
	if kind&patchedBit != 0 {
		s.patch = r.patch()
	}
	return s
}

func (r *intentReader) patch() (list patches) {
	for n := r.Count(2); n > 0 && !r.Failed(); n-- {
		p := patch{key: r.string()}
		r.value(&p, true)
		list = append(list, p)
	}
	return list
}

func (r *intentReader) value(p *patch, outer bool) {
	p.kind = pcommon.ValueType(r.Byte())
	switch {
	case p.kind == pcommon.ValueTypeStr:
		p.str = r.string()
	case p.kind == pcommon.ValueTypeInt || p.kind == pcommon.ValueTypeBool:
		p.num = r.Varint()
	case p.kind == pcommon.ValueTypeSlice && outer:
		for n := r.Count(2); n > 0 && !r.Failed(); n-- {
			var element patch
			r.value(&element, false)
			p.list = append(p.list, element)
		}
	default:
		r.Fail()
	}
}
