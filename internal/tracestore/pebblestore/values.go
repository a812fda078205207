package pebblestore

import (
	"encoding/binary"
	"errors"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
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
	d := codec.NewReader(buf)
	v := traceValue{searchTime: int64(d.Fixed64()), releasedAt: int64(d.Fixed64()), releases: d.Uvarint(), spans: d.Uvarint()}
	version, part := d.Uvarint(), d.Uvarint()
	v.first = releaseRef{version: uint32(version), part: uint32(part), sequence: d.Uvarint()}
	if !d.Done() || version > math.MaxUint32 || part > math.MaxUint32 {
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
	buf = codec.AppendString(buf, row.Outcome)
	buf = codec.AppendString(buf, row.Entry.Service)
	buf = codec.AppendString(buf, row.Entry.Operation)
	for _, names := range [][]string{row.Services, row.Aliases} {
		buf = binary.AppendUvarint(buf, uint64(len(names)))
		for _, name := range names {
			buf = codec.AppendString(buf, name)
		}
	}
	if b := row.Bottleneck; b != nil {
		buf = append(buf, b.SpanID[:]...)
		buf = binary.BigEndian.AppendUint64(buf, math.Float64bits(b.Share))
		buf = codec.AppendString(buf, b.Service)
		buf = codec.AppendString(buf, b.Operation)
	}
	return buf
}

func decodeRow(id pcommon.TraceID, buf []byte) (tracerow.Row, error) {
	d := codec.NewReader(buf)
	flags, kinds := d.Byte(), d.Byte()
	row := tracerow.Row{
		Kinds:  kinds,
		Failed: flags&rowFailed != 0, Fine: flags&rowFine != 0, Rooted: flags&rowRooted != 0,
	}
	row.TraceID = id
	row.Start = int64(d.Fixed64())
	row.Duration, row.LongestSpan = d.Varint(), d.Varint()
	row.SpanCount, row.ErrorCount, row.MissingParents, row.Version = int(d.Varint()), int(d.Varint()), int(d.Varint()), int(d.Varint())
	row.Outcome = d.String()
	row.Entry = tracestore.Operation{Service: d.String(), Operation: d.String()}
	row.Services, row.Aliases = d.Strings(), d.Strings()
	if flags&rowBottleneck != 0 {
		b := &tracestore.Bottleneck{}
		copy(b.SpanID[:], d.Bytes(len(b.SpanID)))
		b.Share = math.Float64frombits(d.Fixed64())
		b.Service, b.Operation = d.String(), d.String()
		row.Bottleneck = b
	}
	if !d.Done() {
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
