package pebblestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Everything about keys is in this file; docs/storage-format.md draws them. All integers are big-endian, so that the order
// of bytes is the order of numbers.
//
//	data      tenant ‖ day ‖ kind ‖ …
//	          block    'b' ‖ sequence
//	          delta    'd' ‖ minute ‖ sequence
//	          filter   'f' ‖ number
//	          head     'h' ‖ sequence
//	          id       'i' ‖ trace id ‖ sequence ‖ number
//	          joined   'j' ‖ inverted search time ‖ inverted trace id
//	          join     'm' ‖ trace id
//	          rollup   'o' ‖ table ‖ minute
//	          body     't' ‖ sequence
//	          thinned  'w'
//	          mark     'x' ‖ sequence ‖ number
//	system    0xFF ‖ …
//	          call     'c' ‖ day ‖ call id
//	          format   'f'
//	          open     'j' ‖ tenant ‖ trace id
//	          summed   'r'
//	          source   's' ‖ name

const (
	kindBlock   = 'b'
	kindDelta   = 'd'
	kindFilter  = 'f'
	kindHead    = 'h'
	kindID      = 'i'
	kindJoined  = 'j'
	kindJoin    = 'm'
	kindRollup  = 'o'
	kindBody    = 't'
	kindThinned = 'w'
	kindMark    = 'x'

	systemByte     = 0xFF
	systemCall     = 'c'
	systemFormat   = 'f'
	systemOpenJoin = 'j'
	systemSummed   = 'r'
	systemSource   = 's'

	// maxPlainTenant is the longest tenant that stands in keys as it is; its length is the first byte. Of a longer one the
	// SHA-256 stands there, behind hashedTenant. Both are below systemByte.
	maxPlainTenant = 127
	hashedTenant   = 0x80 | sha256.Size
)

var errKey = errors.New("not a key of this format")

// appendTenant appends the tenant as all keys of its data begin.
func appendTenant(key []byte, tenant string) []byte {
	if len(tenant) <= maxPlainTenant {
		key = append(key, byte(len(tenant)))
		return append(key, tenant...)
	}
	sum := sha256.Sum256([]byte(tenant))
	return append(append(key, hashedTenant), sum[:]...)
}

// tenantPrefix is the tenant as appendTenant writes it, for use as a map's key.
func tenantPrefix(tenant string) string { return string(appendTenant(nil, tenant)) }

// traceKey names a trace.
type traceKey struct {
	tenant string // see tenantPrefix
	id     pcommon.TraceID
}

// partition is a tenant's data of one day.
type partition struct {
	tenant string // see tenantPrefix
	day    uint32
}

// dayOf counts days since 1970-01-01 UTC.
func dayOf(unixNano int64) uint32 {
	return uint32(min(max(0, unixNano)/int64(24*time.Hour), math.MaxUint32))
}

// key starts a key of the partition.
func (p partition) key(kind byte, room int) []byte {
	key := make([]byte, 0, len(p.tenant)+5+room)
	key = append(key, p.tenant...)
	key = binary.BigEndian.AppendUint32(key, p.day)
	if kind != 0 {
		key = append(key, kind)
	}
	return key
}

// span is the range of all keys of the partition, or of one kind of them: [start, end).
func (p partition) span(kind byte) (start, end []byte) {
	if kind != 0 {
		return p.key(kind, 0), p.key(kind+1, 0)
	}
	start = p.key(0, 0)
	if p.day == math.MaxUint32 {
		return start, tenantEnd(p.tenant)
	}
	return start, partition{p.tenant, p.day + 1}.key(0, 0)
}

// place says where a release lies: in which block of the partition, and its number there.
type place struct {
	sequence uint64
	number   uint16
}

func (p partition) sequenceKey(kind byte, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(p.key(kind, 8), sequence)
}

func (p partition) decodeSequence(key []byte, kind byte) (sequence uint64, err error) {
	rest, err := p.strip(key, kind, 8)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(rest), nil
}

func appendPlace(key []byte, at place) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(key, at.sequence), at.number)
}

func decodePlace(rest []byte) place {
	return place{binary.BigEndian.Uint64(rest), binary.BigEndian.Uint16(rest[8:])}
}

func (p partition) idKey(id pcommon.TraceID, at place) []byte {
	return appendPlace(append(p.key(kindID, 26), id[:]...), at)
}

// idSpan is the range of the places of one trace.
func (p partition) idSpan(id pcommon.TraceID) (start, end []byte) {
	start = append(p.key(kindID, 27), id[:]...)
	// 11 bytes behind the trace id are one more than a key has.
	return start, append(bytes.Clone(start), bytes.Repeat([]byte{0xFF}, 11)...)
}

func (p partition) decodeID(key []byte) (id pcommon.TraceID, at place, err error) {
	rest, err := p.strip(key, kindID, 26)
	if err != nil {
		return id, place{}, err
	}
	return pcommon.TraceID(rest[:16]), decodePlace(rest[16:]), nil
}

func (p partition) markKey(at place) []byte { return appendPlace(p.key(kindMark, 10), at) }

// markSpan is the range of the marks of one block.
func (p partition) markSpan(sequence uint64) (start, end []byte) {
	start = p.sequenceKey(kindMark, sequence)
	if sequence == math.MaxUint64 {
		_, end = p.span(kindMark)
		return start, end
	}
	return start, p.sequenceKey(kindMark, sequence+1)
}

func (p partition) decodeMark(key []byte) (place, error) {
	rest, err := p.strip(key, kindMark, 10)
	if err != nil {
		return place{}, err
	}
	return decodePlace(rest), nil
}

func (p partition) joinKey(id pcommon.TraceID) []byte { return append(p.key(kindJoin, 16), id[:]...) }

func (p partition) decodeJoin(key []byte) (id pcommon.TraceID, err error) {
	rest, err := p.strip(key, kindJoin, 16)
	if err != nil {
		return id, err
	}
	return pcommon.TraceID(rest), nil
}

// joinedKey orders a partition's joined traces newest first, of equals the larger trace id first.
func (p partition) joinedKey(searchTime int64, id pcommon.TraceID) []byte {
	key := binary.BigEndian.AppendUint64(p.key(kindJoined, 24), ^orderedTime(searchTime))
	for _, b := range id {
		key = append(key, ^b)
	}
	return key
}

func (p partition) decodeJoined(key []byte) (searchTime int64, id pcommon.TraceID, err error) {
	rest, err := p.strip(key, kindJoined, 24)
	if err != nil {
		return 0, id, err
	}
	for i, b := range rest[8:] {
		id[i] = ^b
	}
	return fromOrderedTime(^binary.BigEndian.Uint64(rest)), id, nil
}

// deltaRef says where the rollups stand that one call adds to a minute's.
type deltaRef struct {
	minute   uint32
	sequence uint64
}

func (p partition) deltaKey(ref deltaRef) []byte {
	key := binary.BigEndian.AppendUint32(p.key(kindDelta, 12), ref.minute)
	return binary.BigEndian.AppendUint64(key, ref.sequence)
}

// deltaSpan is the range of the deltas of some minutes, first to last.
func (p partition) deltaSpan(first, last uint32) (start, end []byte) {
	start = binary.BigEndian.AppendUint32(p.key(kindDelta, 4), first)
	return start, appendMinuteEnd(p.key(kindDelta, 5), last)
}

func (p partition) decodeDelta(key []byte) (deltaRef, error) {
	rest, err := p.strip(key, kindDelta, 12)
	if err != nil {
		return deltaRef{}, err
	}
	return deltaRef{minute: binary.BigEndian.Uint32(rest), sequence: binary.BigEndian.Uint64(rest[4:])}, nil
}

// rollupKey is where a minute's sums in one table stand.
func (p partition) rollupKey(table rollup.Table, minute uint32) []byte {
	return binary.BigEndian.AppendUint32(append(p.key(kindRollup, 5), byte(table)), minute)
}

// rollupSpan is the range of a table's sums of some minutes, first to last.
func (p partition) rollupSpan(table rollup.Table, first, last uint32) (start, end []byte) {
	return p.rollupKey(table, first), appendMinuteEnd(append(p.key(kindRollup, 6), byte(table)), last)
}

func (p partition) decodeRollup(key []byte) (table rollup.Table, minute uint32, err error) {
	rest, err := p.strip(key, kindRollup, 5)
	if err != nil {
		return 0, 0, err
	}
	return rollup.Table(rest[0]), binary.BigEndian.Uint32(rest[1:]), nil
}

// appendMinuteEnd ends a range behind all keys of a minute.
func appendMinuteEnd(key []byte, minute uint32) []byte {
	if minute == math.MaxUint32 {
		return append(key, bytes.Repeat([]byte{0xFF}, 13)...) // one byte more than keys have
	}
	return binary.BigEndian.AppendUint32(key, minute+1)
}

// strip returns what follows the kind, which must be size bytes.
func (p partition) strip(key []byte, kind byte, size int) ([]byte, error) {
	at := len(p.tenant) + 4
	if len(key) != at+1+size || key[at] != kind {
		return nil, errKey
	}
	return key[at+1:], nil
}

// tenantSize is the length of the tenant with which a key begins.
func tenantSize(key []byte) (int, bool) {
	switch {
	case len(key) == 0:
		return 0, false
	case key[0] == hashedTenant:
		return 1 + sha256.Size, true
	case key[0] > maxPlainTenant:
		return 0, false
	}
	return 1 + int(key[0]), true
}

// decodePartition reads the partition that a data key stands in.
func decodePartition(key []byte) (partition, error) {
	size, ok := tenantSize(key)
	if !ok || len(key) < size+4 {
		return partition{}, errKey
	}
	return partition{tenant: string(key[:size]), day: binary.BigEndian.Uint32(key[size:])}, nil
}

// tenantEnd is the first key behind all of a tenant's.
func tenantEnd(tenant string) []byte {
	end := []byte(tenant)
	for i := len(end) - 1; i > 0; i-- { // the first byte is below 0xFF, so this ends with a larger key
		if end[i] != 0xFF {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{end[0] + 1}
}

// orderedTime maps a signed time to an unsigned number in the same order.
func orderedTime(t int64) uint64 { return uint64(t) ^ 1<<63 }

func fromOrderedTime(t uint64) int64 { return int64(t ^ 1<<63) }

func formatKey() []byte { return []byte{systemByte, systemFormat} }

// summedKey holds the last sequence of which the rollups are written down.
func summedKey() []byte { return []byte{systemByte, systemSummed} }

// sourceKey is where a source stands that was added at run time.
func sourceKey(name string) []byte { return append([]byte{systemByte, systemSource}, name...) }

func sourceSpan() (start, end []byte) {
	return []byte{systemByte, systemSource}, []byte{systemByte, systemSource + 1}
}

// decodeSource takes a key of the span.
func decodeSource(key []byte) string { return string(key[2:]) }

// openJoinKey says that a trace's row is yet to be made of its releases. tenant is a tenantPrefix.
func openJoinKey(tenant string, id pcommon.TraceID) []byte {
	key := append([]byte{systemByte, systemOpenJoin}, tenant...)
	return append(key, id[:]...)
}

func openJoinSpan() (start, end []byte) {
	return []byte{systemByte, systemOpenJoin}, []byte{systemByte, systemOpenJoin + 1}
}

func decodeOpenJoin(key []byte) (traceKey, error) {
	const ids = len(pcommon.TraceID{})
	if len(key) < 2+1+ids || key[0] != systemByte || key[1] != systemOpenJoin {
		return traceKey{}, errKey
	}
	tenant := key[2 : len(key)-ids]
	if size, ok := tenantSize(tenant); !ok || size != len(tenant) {
		return traceKey{}, errKey
	}
	return traceKey{string(tenant), pcommon.TraceID(key[len(key)-ids:])}, nil
}

// callKey is where a stored call's id stands; day is that of the clock when it was stored.
func callKey(day uint32, id tracetree.CallID) []byte {
	return append(callDayKey(day), id[:]...)
}

// callDayKey starts the ids of one day's calls.
func callDayKey(day uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{systemByte, systemCall}, day)
}

func decodeCall(key []byte) (day uint32, id tracetree.CallID, err error) {
	if len(key) != 2+4+len(id) || key[0] != systemByte || key[1] != systemCall {
		return 0, id, errKey
	}
	copy(id[:], key[6:])
	return binary.BigEndian.Uint32(key[2:]), id, nil
}
