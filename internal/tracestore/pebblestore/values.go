package pebblestore

import (
	"encoding/binary"
	"errors"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// The values of 'm' and 's' keys; docs/storage-format.md describes them. Numbers are varints (zigzag where they are signed),
// strings are a length and bytes.

var errValue = errors.New("value is not of this format")

// traceValue is what stands under a trace's id: where its row stands in the search index, and its releases.
type traceValue struct {
	searchTime int64
	releasedAt int64 // of the first release
	releases   uint64
	spans      uint64 // stored ones, duplicates included
	// first is the first release that was stored; the others stand under release keys.
	first releaseRef
}

func (v *traceValue) append(buf []byte) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(v.searchTime))
	buf = binary.BigEndian.AppendUint64(buf, uint64(v.releasedAt))
	buf = binary.AppendUvarint(buf, v.releases)
	buf = binary.AppendUvarint(buf, v.spans)
	buf = binary.AppendUvarint(buf, uint64(v.first.version))
	buf = binary.AppendUvarint(buf, uint64(v.first.part))
	return binary.AppendUvarint(buf, v.first.sequence)
}

func decodeTraceValue(buf []byte) (traceValue, error) {
	d := decoder{buf: buf}
	v := traceValue{searchTime: int64(d.fixed64()), releasedAt: int64(d.fixed64()), releases: d.uvarint(), spans: d.uvarint()}
	version, part := d.uvarint(), d.uvarint()
	v.first = releaseRef{version: uint32(version), part: uint32(part), sequence: d.uvarint()}
	if d.failed || len(d.buf) != 0 || version > math.MaxUint32 || part > math.MaxUint32 {
		return traceValue{}, errValue
	}
	return v, nil
}

const (
	rowFailed = 1 << iota
	rowFine
	rowRooted
	rowBottleneck
)

// appendRow writes the row without its trace id, which the key has.
func appendRow(buf []byte, row *tracerow.Row) []byte {
	flags := bit(row.Failed, rowFailed) | bit(row.Fine, rowFine) | bit(row.Rooted, rowRooted) | bit(row.Bottleneck != nil, rowBottleneck)
	buf = append(buf, flags, row.Kinds)
	buf = binary.BigEndian.AppendUint64(buf, uint64(row.Start))
	for _, n := range []int64{
		row.Duration, row.LongestSpan, int64(row.SpanCount), int64(row.ErrorCount), int64(row.MissingParents), int64(row.Version),
	} {
		buf = binary.AppendVarint(buf, n)
	}
	buf = appendString(buf, row.Outcome)
	buf = appendString(buf, row.Entry.Service)
	buf = appendString(buf, row.Entry.Operation)
	for _, names := range [][]string{row.Services, row.Aliases} {
		buf = binary.AppendUvarint(buf, uint64(len(names)))
		for _, name := range names {
			buf = appendString(buf, name)
		}
	}
	if b := row.Bottleneck; b != nil {
		buf = append(buf, b.SpanID[:]...)
		buf = binary.BigEndian.AppendUint64(buf, math.Float64bits(b.Share))
		buf = appendString(buf, b.Service)
		buf = appendString(buf, b.Operation)
	}
	return buf
}

func decodeRow(id pcommon.TraceID, buf []byte) (tracerow.Row, error) {
	// One copy of the value, of which every string is a part: a search decodes many rows.
	d := decoder{buf: buf, text: string(buf)}
	flags, kinds := d.byte(), d.byte()
	row := tracerow.Row{
		Kinds:  kinds,
		Failed: flags&rowFailed != 0, Fine: flags&rowFine != 0, Rooted: flags&rowRooted != 0,
	}
	row.TraceID = id
	row.Start = int64(d.fixed64())
	row.Duration, row.LongestSpan = d.varint(), d.varint()
	row.SpanCount, row.ErrorCount, row.MissingParents, row.Version = int(d.varint()), int(d.varint()), int(d.varint()), int(d.varint())
	row.Outcome = d.string()
	row.Entry = tracestore.Operation{Service: d.string(), Operation: d.string()}
	row.Services, row.Aliases = d.strings(), d.strings()
	if flags&rowBottleneck != 0 {
		b := &tracestore.Bottleneck{}
		copy(b.SpanID[:], d.bytes(len(b.SpanID)))
		b.Share = math.Float64frombits(d.fixed64())
		b.Service, b.Operation = d.string(), d.string()
		row.Bottleneck = b
	}
	if d.failed || len(d.buf) != 0 {
		return tracerow.Row{}, errValue
	}
	return row, nil
}

func bit(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}

func appendString(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// decoder reads a value from its front. After a failure every read answers zero.
type decoder struct {
	buf    []byte
	text   string // the whole value
	failed bool
}

func (d *decoder) bytes(n int) []byte {
	if d.failed || n > len(d.buf) {
		d.failed = true
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) fixed64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.buf)
	return advance(d, n, size)
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.buf)
	return advance(d, n, size)
}

func advance[T int64 | uint64](d *decoder, n T, size int) T {
	if d.failed || size <= 0 {
		d.failed = true
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

func (d *decoder) string() string {
	size := d.uvarint()
	if size > uint64(len(d.buf)) {
		d.failed = true
		return ""
	}
	at := len(d.text) - len(d.buf)
	d.buf = d.buf[size:]
	return d.text[at : at+int(size)]
}

func (d *decoder) strings() []string {
	n := d.uvarint()
	if n == 0 || n > uint64(len(d.buf)) { // each takes at least a byte
		d.failed = d.failed || n != 0
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}
