package pebblestore

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// The values of 'b', 'i', 'j', 'm' and 'x' keys, and of sources; docs/storage-format.md describes them. Numbers are varints (zigzag where they are
// signed), strings are a length and bytes.

var (
	errValue = errors.New("value is not of this format")
	// errCorrupt says that what is stored is not what was written.
	errCorrupt = errors.New("stored value is corrupt")
)

// blockValue is what is known of a block without opening it.
type blockValue struct {
	// first and last are the least and the largest of its releases' search times without a retention.
	first, last int64
	// firstReleased and lastReleased are the least and the largest of their times of release.
	firstReleased, lastReleased int64
	releases, spans             uint64
	size                        uint64 // of head and body, bytes
	otlp                        uint64 // bytes of the releases as OTLP
	// through is the sequence of the last block that was merged into this one; its own where none was.
	through uint64
}

// add extends the block by a release.
func (v *blockValue) add(searchTime, releasedAt int64, spans, otlp int) {
	if v.releases == 0 {
		v.first, v.last, v.firstReleased, v.lastReleased = searchTime, searchTime, releasedAt, releasedAt
	}
	v.first, v.last = min(v.first, searchTime), max(v.last, searchTime)
	v.firstReleased, v.lastReleased = min(v.firstReleased, releasedAt), max(v.lastReleased, releasedAt)
	v.releases++
	v.spans += uint64(spans)
	v.otlp += uint64(otlp)
}

// times bounds the search times of the block's releases under a retention.
func (v *blockValue) times(retention time.Duration) (first, last int64) {
	if retention <= 0 {
		return v.first, v.last
	}
	earliest := func(releasedAt int64) int64 {
		return max(releasedAt, math.MinInt64+int64(retention)) - int64(retention)
	}
	return max(v.first, earliest(v.firstReleased)), max(v.last, earliest(v.lastReleased))
}

func (v *blockValue) append(buf []byte) []byte {
	for _, t := range []int64{v.first, v.last, v.firstReleased, v.lastReleased} {
		buf = binary.AppendVarint(buf, t)
	}
	for _, n := range []uint64{v.releases, v.spans, v.size, v.through, v.otlp} {
		buf = binary.AppendUvarint(buf, n)
	}
	return buf
}

func decodeBlockValue(buf []byte) (blockValue, error) {
	d := codec.NewReader(buf)
	v := blockValue{first: d.Varint(), last: d.Varint(), firstReleased: d.Varint(), lastReleased: d.Varint()}
	v.releases, v.spans, v.size, v.through = d.Uvarint(), d.Uvarint(), d.Uvarint(), d.Uvarint()
	v.otlp = v.size // of a block that was written before this was noted, at the least
	if d.Len() > 0 {
		v.otlp = d.Uvarint()
	}
	if !d.Done() || v.first > v.last || v.firstReleased > v.lastReleased || v.releases > block.MaxReleases {
		return blockValue{}, errValue
	}
	return v, nil
}

// rank is a release's place among those of its trace.
type rank struct {
	version, part uint32
	// written is the sequence of the block as which the release was written first, where that was merged into another; else 0.
	written uint64
}

// append writes nothing for version 1, part 0, where it was written, which most are.
func (r rank) append(buf []byte) []byte {
	if r == (rank{version: 1}) {
		return buf
	}
	buf = binary.AppendUvarint(binary.AppendUvarint(buf, uint64(r.version)), uint64(r.part))
	if r.written != 0 {
		buf = binary.AppendUvarint(buf, r.written)
	}
	return buf
}

func decodeRank(buf []byte) (rank, error) {
	if len(buf) == 0 {
		return rank{version: 1}, nil
	}
	d := codec.NewReader(buf)
	version, part := d.Uvarint(), d.Uvarint()
	r := rank{version: uint32(version), part: uint32(part)}
	if d.Len() > 0 {
		r.written = d.Uvarint()
	}
	if !d.Done() || version > math.MaxUint32 || part > math.MaxUint32 {
		return rank{}, errValue
	}
	return r, nil
}

// mark is what became of a release since its block was written.
type mark byte

const (
	// markJoined: the trace has other releases. Searches find it by its joined row.
	markJoined mark = 1
	// markDeleted: the trace was deleted. The next rewriting of the block leaves it out.
	markDeleted mark = 2
)

func decodeMarkValue(buf []byte) (mark, error) {
	if len(buf) != 1 || mark(buf[0]) != markJoined && mark(buf[0]) != markDeleted {
		return 0, errValue
	}
	return mark(buf[0]), nil
}

func appendSequence(buf []byte, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(buf, sequence)
}

// decodeSequenceValue reads the value of the summed key.
func decodeSequenceValue(buf []byte) (uint64, error) {
	if len(buf) != 8 {
		return 0, errValue
	}
	return binary.BigEndian.Uint64(buf), nil
}

// appendSourceValue writes the value of a source key.
func appendSourceValue(buf []byte, version int64, value []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(version)), value...)
}

// decodeSourceValue refers into buf.
func decodeSourceValue(buf []byte) (version int64, value []byte, err error) {
	n, size := binary.Uvarint(buf)
	if size <= 0 || n < 1 || n > math.MaxInt64 {
		return 0, nil, errValue
	}
	return int64(n), buf[size:], nil
}

// decodeTime reads the value of a join key: the search time under which the joined row stands.
func decodeTime(buf []byte) (int64, error) {
	if len(buf) != 8 {
		return 0, errValue
	}
	return int64(binary.BigEndian.Uint64(buf)), nil
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
