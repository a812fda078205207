package pebblestore

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// TestKeyBytes holds the keys of docs/storage-format.md to the byte.
func TestKeyBytes(t *testing.T) {
	at := partition{tenant: tenantPrefix("ab"), day: 0x01020304}
	id := pcommon.TraceID{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f}
	for name, test := range map[string]struct {
		key  []byte
		want string
	}{
		"block":          {at.sequenceKey(kindBlock, 5), "02 6162 01020304 62 0000000000000005"},
		"head":           {at.sequenceKey(kindHead, 5), "02 6162 01020304 68 0000000000000005"},
		"body":           {at.sequenceKey(kindBody, 5), "02 6162 01020304 74 0000000000000005"},
		"filter":         {at.sequenceKey(kindFilter, 5), "02 6162 01020304 66 0000000000000005"},
		"id":             {at.idKey(id, place{5, 6}), "02 6162 01020304 69 101112131415161718191a1b1c1d1e1f 0000000000000005 0006"},
		"mark":           {at.markKey(place{5, 6}), "02 6162 01020304 78 0000000000000005 0006"},
		"join":           {at.joinKey(id), "02 6162 01020304 6d 101112131415161718191a1b1c1d1e1f"},
		"joined":         {at.joinedKey(1, id), "02 6162 01020304 6a 7ffffffffffffffe efeeedecebeae9e8e7e6e5e4e3e2e1e0"},
		"delta":          {at.deltaKey(deltaRef{minute: 6, sequence: 7}), "02 6162 01020304 64 00000006 0000000000000007"},
		"rollup":         {at.rollupKey(rollup.Edges, 6), "02 6162 01020304 6f 02 00000006"},
		"default tenant": {partition{tenantPrefix(""), 1}.sequenceKey(kindBody, 5), "00 00000001 74 0000000000000005"},
		"long tenant": {
			partition{tenantPrefix(strings.Repeat("x", 128)), 1}.key(kindBody, 0),
			// SHA-256 of 128 times x
			"a0 24da1b81d0b16df6428eee73c69fcb2a93c76bc6df706f0c6670fe6bfe800464 00000001 74",
		},
		"format": {formatKey(), "ff 66"},
		"summed": {summedKey(), "ff 72"},
		"source": {sourceKey("ab"), "ff 73 6162"},
		"open":   {openJoinKey(at.tenant, id), "ff 6a 02 6162 101112131415161718191a1b1c1d1e1f"},
		"call":   {callKey(6, tracetree.CallID(id)), "ff 63 00000006 101112131415161718191a1b1c1d1e1f"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, strings.ReplaceAll(test.want, " ", ""), hex.EncodeToString(test.key))
		})
	}
}

func TestKeyOrder(t *testing.T) {
	at := partition{tenantPrefix("t"), 7}
	low, high := pcommon.TraceID{15: 1}, pcommon.TraceID{15: 2}
	want := [][]byte{ // newest first, of equals the larger id first
		at.joinedKey(math.MaxInt64, low), at.joinedKey(1, high), at.joinedKey(1, low), at.joinedKey(0, high), at.joinedKey(-1, high),
		at.joinedKey(math.MinInt64, high),
	}
	require.True(t, slices.IsSortedFunc(want, bytes.Compare))
	require.Less(t, string(at.idKey(low, place{1, 9})), string(at.idKey(low, place{2, 0})))

	// A partition holds its own keys and no others', and all data comes before system keys.
	start, end := at.span(0)
	for _, key := range want {
		require.True(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
		require.Less(t, string(key), string(formatKey()))
	}
	for _, other := range []partition{{at.tenant, 6}, {at.tenant, 8}, {tenantPrefix("tt"), 7}, {tenantPrefix(""), 7}, {tenantPrefix("s"), 7}} {
		key := other.sequenceKey(kindBody, 1)
		require.False(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
	}
	last := partition{tenantPrefix("\xff\xff"), math.MaxUint32}
	_, end = last.span(0)
	require.Less(t, string(last.sequenceKey(kindBody, math.MaxUint64)), string(end))
	require.Less(t, string(end), string(formatKey()))
}

func TestDayOf(t *testing.T) {
	const day = int64(24 * 60 * 60 * 1e9)
	require.Equal(t, uint32(0), dayOf(-1))
	require.Equal(t, uint32(0), dayOf(day-1))
	require.Equal(t, uint32(1), dayOf(day))
	require.Equal(t, uint32(106751), dayOf(math.MaxInt64))
}

func FuzzKeys(f *testing.F) {
	f.Add("", uint32(0), int64(0), []byte{}, uint32(0), uint16(0), uint64(0))
	f.Add(strings.Repeat("x", 128), uint32(math.MaxUint32), int64(math.MinInt64), []byte("0123456789abcdef"), uint32(1), uint16(2), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, tenant string, day uint32, searchTime int64, idBytes []byte, minute uint32, number uint16, sequence uint64) {
		at := partition{tenantPrefix(tenant), day}
		var id pcommon.TraceID
		copy(id[:], idBytes)
		where, delta := place{sequence, number}, deltaRef{minute, sequence}
		within := func(key, start, end []byte) {
			require.True(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
		}
		for _, key := range [][]byte{
			at.sequenceKey(kindBlock, sequence), at.idKey(id, where), at.joinedKey(searchTime, id), at.joinKey(id), at.markKey(where),
			at.deltaKey(delta), at.rollupKey(rollup.Edges, minute),
		} {
			got, err := decodePartition(key)
			require.NoError(t, err)
			require.Equal(t, at, got)
			start, end := at.span(0)
			within(key, start, end)
		}
		gotID, gotWhere, err := at.decodeID(at.idKey(id, where))
		require.NoError(t, err)
		require.Equal(t, id, gotID)
		require.Equal(t, where, gotWhere)
		start, end := at.idSpan(id)
		within(at.idKey(id, where), start, end)
		gotWhere, err = at.decodeMark(at.markKey(where))
		require.NoError(t, err)
		require.Equal(t, where, gotWhere)
		start, end = at.markSpan(sequence)
		within(at.markKey(where), start, end)
		gotTime, gotID, err := at.decodeJoined(at.joinedKey(searchTime, id))
		require.NoError(t, err)
		require.Equal(t, searchTime, gotTime)
		require.Equal(t, id, gotID)
		gotID, err = at.decodeJoin(at.joinKey(id))
		require.NoError(t, err)
		require.Equal(t, id, gotID)
		gotSequence, err := at.decodeSequence(at.sequenceKey(kindHead, sequence), kindHead)
		require.NoError(t, err)
		require.Equal(t, sequence, gotSequence)
		gotDelta, err := at.decodeDelta(at.deltaKey(delta))
		require.NoError(t, err)
		require.Equal(t, delta, gotDelta)
		start, end = at.deltaSpan(minute, minute)
		within(at.deltaKey(delta), start, end)
		key := at.rollupKey(rollup.Table(number), minute)
		gotTable, gotMinute, err := at.decodeRollup(key)
		require.NoError(t, err)
		require.Equal(t, rollup.Table(number), gotTable)
		require.Equal(t, minute, gotMinute)
		start, end = at.rollupSpan(rollup.Table(number), minute, minute)
		within(key, start, end)
		open, err := decodeOpenJoin(openJoinKey(at.tenant, id))
		require.NoError(t, err)
		require.Equal(t, traceKey{at.tenant, id}, open)
		gotDay, call, err := decodeCall(callKey(day, tracetree.CallID(id)))
		require.NoError(t, err)
		require.Equal(t, day, gotDay)
		require.Equal(t, tracetree.CallID(id), call)
	})
}

// FuzzForeignKeys decodes any bytes: an error, no crash.
func FuzzForeignKeys(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x7f})
	f.Add([]byte{0xa0, 1})
	f.Fuzz(func(t *testing.T, key []byte) {
		_, _, _ = decodeCall(key)
		_, _ = decodeOpenJoin(key)
		at, err := decodePartition(key)
		if err != nil {
			return
		}
		_, _, _ = at.decodeID(key)
		_, _ = at.decodeMark(key)
		_, _, _ = at.decodeJoined(key)
		_, _ = at.decodeJoin(key)
		_, _ = at.decodeSequence(key, kindBody)
		_, _ = at.decodeDelta(key)
		_, _, _ = at.decodeRollup(key)
	})
}
