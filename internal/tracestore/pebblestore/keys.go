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
//	          trace    'm' ‖ trace id
//	          release  'r' ‖ trace id ‖ version ‖ part ‖ sequence
//	          search   's' ‖ inverted search time ‖ inverted trace id
//	          spans    't' ‖ sequence
//	          delta    'd' ‖ minute ‖ sequence
//	          rollup   'o' ‖ table ‖ minute
//	system    0xFF ‖ …
//	          format   'f'
//	          call     'c' ‖ day ‖ call id

const (
	kindTrace   = 'm'
	kindRelease = 'r'
	kindSearch  = 's'
	kindSpans   = 't'
	kindDelta   = 'd'
	kindRollup  = 'o'

	systemByte   = 0xFF
	systemCall   = 'c'
	systemFormat = 'f'

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

func (p partition) traceKey(id pcommon.TraceID) []byte {
	return append(p.key(kindTrace, 16), id[:]...)
}

// releaseRef says where a release of a trace lies and at which place among the trace's releases.
type releaseRef struct {
	version, part uint32
	sequence      uint64
}

func (p partition) releaseKey(id pcommon.TraceID, ref releaseRef) []byte {
	key := append(p.key(kindRelease, 32), id[:]...)
	key = binary.BigEndian.AppendUint32(key, ref.version)
	key = binary.BigEndian.AppendUint32(key, ref.part)
	return binary.BigEndian.AppendUint64(key, ref.sequence)
}

// releaseSpan is the range of the release keys of one trace.
func (p partition) releaseSpan(id pcommon.TraceID) (start, end []byte) {
	start = append(p.key(kindRelease, 16), id[:]...)
	// 17 bytes behind the trace id are one more than a key has.
	return start, append(bytes.Clone(start), bytes.Repeat([]byte{0xFF}, 17)...)
}

func (p partition) decodeRelease(key []byte) (releaseRef, error) {
	rest, err := p.strip(key, kindRelease, 32)
	if err != nil {
		return releaseRef{}, err
	}
	return releaseRef{
		version:  binary.BigEndian.Uint32(rest[16:]),
		part:     binary.BigEndian.Uint32(rest[20:]),
		sequence: binary.BigEndian.Uint64(rest[24:]),
	}, nil
}

// searchKey orders a partition's traces newest first, of equals the larger trace id first.
func (p partition) searchKey(searchTime int64, id pcommon.TraceID) []byte {
	key := binary.BigEndian.AppendUint64(p.key(kindSearch, 24), ^orderedTime(searchTime))
	for _, b := range id {
		key = append(key, ^b)
	}
	return key
}

func (p partition) decodeSearch(key []byte) (searchTime int64, id pcommon.TraceID, err error) {
	rest, err := p.strip(key, kindSearch, 24)
	if err != nil {
		return 0, id, err
	}
	for i, b := range rest[8:] {
		id[i] = ^b
	}
	return fromOrderedTime(^binary.BigEndian.Uint64(rest)), id, nil
}

func (p partition) spansKey(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(p.key(kindSpans, 8), sequence)
}

func (p partition) decodeSpans(key []byte) (sequence uint64, err error) {
	rest, err := p.strip(key, kindSpans, 8)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(rest), nil
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

// decodePartition reads the partition that a data key stands in.
func decodePartition(key []byte) (partition, error) {
	if len(key) == 0 || key[0] > hashedTenant || key[0] > maxPlainTenant && key[0] != hashedTenant {
		return partition{}, errKey
	}
	size := 1 + int(key[0])
	if key[0] == hashedTenant {
		size = 1 + sha256.Size
	}
	if len(key) < size+4 {
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

// callKey is where a stored call's id stands; day is the day on which it was stored.
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
