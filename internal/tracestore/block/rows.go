package block

import (
	"encoding/binary"
	"math"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Headers are written field by field, all releases of a field together. Strings and lists of strings stand once.

const (
	rowFailed = 1 << iota
	rowFine
	rowRooted
	rowBottleneck
	rowShareDivided // the share is a time divided by the duration
	allRowFlags     = 1<<iota - 1
)

// rowWriter collects the strings.
type rowWriter struct {
	texts map[string]uint64
	lists map[string]uint64
	// services are those of the lists; some of them more than once.
	services []string
	// What stands in front of the fields.
	textBytes, listBytes []byte
	buf, key             []byte
}

func (w *rowWriter) reset() {
	if w.texts == nil {
		w.texts, w.lists = make(map[string]uint64), make(map[string]uint64)
	}
	clear(w.texts)
	clear(w.lists)
	clear(w.services)
	w.services = w.services[:0]
	w.textBytes, w.listBytes, w.buf = w.textBytes[:0], w.listBytes[:0], w.buf[:0]
}

func (w *rowWriter) text(s string) {
	w.buf = binary.AppendUvarint(w.buf, w.textNumber(s))
}

func (w *rowWriter) textNumber(s string) uint64 {
	n, ok := w.texts[s]
	if !ok {
		n = uint64(len(w.texts))
		w.texts[s] = n
		w.textBytes = codec.AppendString(w.textBytes, s)
	}
	return n
}

func (w *rowWriter) list(names []string) {
	w.key = binary.AppendUvarint(w.key[:0], uint64(len(names)))
	for _, name := range names {
		w.key = binary.AppendUvarint(w.key, w.textNumber(name))
	}
	n, ok := w.lists[string(w.key)]
	if !ok {
		n = uint64(len(w.lists))
		w.lists[string(w.key)] = n
		w.services = append(w.services, names...)
		w.listBytes = append(w.listBytes, w.key...)
	}
	w.buf = binary.AppendUvarint(w.buf, n)
}

// append appends the headers.
func (w *rowWriter) append(buf []byte, headers []Header) []byte {
	w.reset()
	w.fields(headers)
	buf = binary.AppendUvarint(buf, uint64(len(w.texts)))
	buf = append(buf, w.textBytes...)
	buf = binary.AppendUvarint(buf, uint64(len(w.lists)))
	buf = append(buf, w.listBytes...)
	return append(buf, w.buf...)
}

func (w *rowWriter) fields(headers []Header) {
	signed := func(of func(h *Header) int64) {
		for i := range headers {
			w.buf = binary.AppendVarint(w.buf, of(&headers[i]))
		}
	}
	var before int64
	for i := range headers {
		w.buf = append(w.buf, flagsOf(&headers[i]), headers[i].Row.Kinds)
	}
	signed(func(h *Header) int64 { return int64(h.Version) })
	signed(func(h *Header) int64 { return int64(h.Part) })
	signed(func(h *Header) (n int64) { n, before = h.ReleasedAt-before, h.ReleasedAt; return n })
	signed(func(h *Header) int64 { return int64(h.Spans) })
	signed(func(h *Header) int64 { return int64(h.Size) })
	before = 0
	signed(func(h *Header) (n int64) { n, before = h.Row.Start-before, h.Row.Start; return n })
	signed(func(h *Header) int64 { return h.Row.Duration })
	signed(func(h *Header) int64 { return h.Row.Duration - h.Row.LongestSpan })
	signed(func(h *Header) int64 { return int64(h.Row.SpanCount - h.Spans) })
	signed(func(h *Header) int64 { return int64(h.Row.ErrorCount) })
	signed(func(h *Header) int64 { return int64(h.Row.MissingParents) })
	signed(func(h *Header) int64 { return int64(h.Row.Version) - int64(h.Version) })
	for i := range headers {
		row := &headers[i].Row
		w.text(row.Outcome)
		w.text(row.Entry.Service)
		w.text(row.Entry.Operation)
		w.list(row.Services)
		w.list(row.Aliases)
	}
	for i := range headers {
		if b := headers[i].Row.Bottleneck; b != nil {
			w.bottleneck(&headers[i], b)
		}
	}
}

func (w *rowWriter) bottleneck(h *Header, b *tracestore.Bottleneck) {
	w.buf = append(w.buf, b.SpanID[:]...)
	if part, ok := sharePart(b.Share, h.Row.Duration); ok {
		w.buf = binary.AppendUvarint(w.buf, uint64(part))
	} else {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(b.Share))
	}
	w.text(b.Service)
	w.text(b.Operation)
}

func flagsOf(h *Header) (flags byte) {
	row := &h.Row
	for bit, set := range []bool{row.Failed, row.Fine, row.Rooted, row.Bottleneck != nil} {
		if set {
			flags |= 1 << bit
		}
	}
	if row.Bottleneck != nil {
		if _, ok := sharePart(row.Bottleneck.Share, row.Duration); ok {
			flags |= rowShareDivided
		}
	}
	return flags
}

// headersRoom is where headers are read to, with the bottlenecks of those that have one.
type headersRoom struct {
	headers     []Header
	bottlenecks []tracestore.Bottleneck
}

// read reads n headers, which are of the room; their trace ids are yet to be filled in. The error is ErrCorrupt.
func (room *headersRoom) read(buf []byte, n int) ([]Header, error) {
	r := codec.NewReader(buf)
	texts := readTextTable(r)
	lists := make([][]string, r.Count(1))
	for i := range lists {
		if n := r.Count(1); n > 0 {
			lists[i] = make([]string, n)
		}
		for k := range lists[i] {
			lists[i][k] = pick(r, texts)
		}
	}
	if n > r.Len() {
		return nil, ErrCorrupt
	}
	room.headers, room.bottlenecks = resize(room.headers, n), resize(room.bottlenecks, n)
	headers := room.headers
	flags := r.Bytes(2 * n) // and kinds
	signed := func(to func(h *Header, v int64)) {
		for i := range headers {
			to(&headers[i], r.Varint())
		}
	}
	var before int64
	signed(func(h *Header, v int64) { h.Version = uint32(v) })
	signed(func(h *Header, v int64) { h.Part = uint32(v) })
	signed(func(h *Header, v int64) { before += v; h.ReleasedAt = before })
	signed(func(h *Header, v int64) { h.Spans = int(v) })
	signed(func(h *Header, v int64) { h.Size = int(v) })
	before = 0
	signed(func(h *Header, v int64) { before += v; h.Row.Start = before })
	signed(func(h *Header, v int64) { h.Row.Duration = v })
	signed(func(h *Header, v int64) { h.Row.LongestSpan = h.Row.Duration - v })
	signed(func(h *Header, v int64) { h.Row.SpanCount = h.Spans + int(v) })
	signed(func(h *Header, v int64) { h.Row.ErrorCount = int(v) })
	signed(func(h *Header, v int64) { h.Row.MissingParents = int(v) })
	signed(func(h *Header, v int64) { h.Row.Version = int(int64(h.Version) + v) })
	if r.Failed() {
		return nil, ErrCorrupt
	}
	for i := range headers {
		row := &headers[i].Row
		row.Outcome = pick(r, texts)
		row.Entry = tracestore.Operation{Service: pick(r, texts), Operation: pick(r, texts)}
		row.Services, row.Aliases = pick(r, lists), pick(r, lists)
		bits := flags[2*i]
		row.Failed, row.Fine, row.Rooted = bits&rowFailed != 0, bits&rowFine != 0, bits&rowRooted != 0
		row.Kinds = flags[2*i+1]
	}
	for i := range headers {
		headers[i].Row.Bottleneck = nil
		if bits := flags[2*i]; bits&rowBottleneck != 0 {
			b := &room.bottlenecks[i]
			headers[i].Row.Bottleneck = b
			readBottleneck(b, r, texts, headers[i].Row.Duration, bits&rowShareDivided != 0)
		}
	}
	if !r.Done() {
		return nil, ErrCorrupt
	}
	return headers, nil
}

// readTextTable reads a number of strings and the strings, which share a copy of their bytes and of no more.
func readTextTable(r *codec.Reader) []string {
	ahead := *r
	for range ahead.Count(1) {
		ahead.Bytes(ahead.Count(1))
	}
	return codec.NewReader(r.Bytes(r.Len() - ahead.Len())).Strings()
}

func readBottleneck(b *tracestore.Bottleneck, r *codec.Reader, texts []string, duration int64, divided bool) {
	*b = tracestore.Bottleneck{}
	copy(b.SpanID[:], r.Bytes(len(b.SpanID)))
	if divided {
		b.Share = float64(int64(r.Uvarint())) / float64(duration)
	} else if bits := r.Bytes(8); bits != nil {
		b.Share = math.Float64frombits(binary.LittleEndian.Uint64(bits))
	}
	b.Service, b.Operation = pick(r, texts), pick(r, texts)
}

// pick reads the place of something in a list.
func pick[T any](r *codec.Reader, list []T) (item T) {
	if at := r.Below(len(list)); at < len(list) {
		return list[at]
	}
	return item
}
