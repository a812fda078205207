package traceassemblyprocessor

import (
	"encoding/binary"
	"hash/maphash"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// contentHash tells the contents of resources and scopes apart. Its seeds are secret and differ from start to start, so that
// nobody can make two contents that are taken for one, and every part is written with its length, so that none runs into the
// next. It takes the attributes in any order, in linear time, however many there are and however deep their values are
// nested (intake refuses what is nested too deeply first).
type contentHash struct {
	low, high uint64
}

var contentSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// add adds what buf says, in no order.
func (h *contentHash) add(buf []byte) {
	h.low += maphash.Bytes(contentSeeds[0], buf)
	h.high += maphash.Bytes(contentSeeds[1], buf)
}

// sum is the hash of what was added, where parts are what stands in order.
func (h *contentHash) sum(parts ...string) (sum [16]byte) {
	buf := make([]byte, 0, 256)
	buf = binary.LittleEndian.AppendUint64(buf, h.low)
	buf = binary.LittleEndian.AppendUint64(buf, h.high)
	for _, part := range parts {
		buf = appendPart(buf, part)
	}
	binary.LittleEndian.PutUint64(sum[:8], maphash.Bytes(contentSeeds[0], buf))
	binary.LittleEndian.PutUint64(sum[8:], maphash.Bytes(contentSeeds[1], buf))
	return sum
}

func hashContent(attrs pcommon.Map, dropped uint32, parts ...string) [16]byte {
	var h contentHash
	var room [256]byte
	buf := room[:0]
	for key, value := range attrs.All() {
		buf = appendValue(appendPart(buf[:0], key), value)
		h.add(buf)
	}
	h.add(binary.LittleEndian.AppendUint32(buf[:0], dropped)) // shorter than any attribute
	return h.sum(parts...)
}

func appendPart(buf []byte, part string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(part))), part...)
}

// appendValue writes a value such that no two are written alike. Maps within values are told apart by their order too: two
// copies of one resource are the worst that comes of it.
func appendValue(buf []byte, value pcommon.Value) []byte {
	buf = append(buf, byte(value.Type()))
	switch value.Type() {
	case pcommon.ValueTypeStr:
		buf = appendPart(buf, value.Str())
	case pcommon.ValueTypeInt:
		buf = binary.LittleEndian.AppendUint64(buf, uint64(value.Int()))
	case pcommon.ValueTypeDouble:
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(value.Double()))
	case pcommon.ValueTypeBool:
		if value.Bool() {
			return append(buf, 1)
		}
		return append(buf, 0)
	case pcommon.ValueTypeBytes:
		buf = appendPart(buf, string(value.Bytes().AsRaw()))
	case pcommon.ValueTypeMap:
		buf = binary.AppendUvarint(buf, uint64(value.Map().Len()))
		for key, element := range value.Map().All() {
			buf = appendValue(appendPart(buf, key), element)
		}
	case pcommon.ValueTypeSlice:
		buf = binary.AppendUvarint(buf, uint64(value.Slice().Len()))
		for _, element := range value.Slice().All() {
			buf = appendValue(buf, element)
		}
	}
	return buf
}
