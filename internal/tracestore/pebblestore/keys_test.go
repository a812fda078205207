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
	ref := releaseRef{version: 2, part: 3, sequence: 4}
	for name, test := range map[string]struct {
		key  []byte
		want string
	}{
		"trace":          {at.traceKey(id), "02 6162 01020304 6d 101112131415161718191a1b1c1d1e1f"},
		"release":        {at.releaseKey(id, ref), "02 6162 01020304 72 101112131415161718191a1b1c1d1e1f 00000002 00000003 0000000000000004"},
		"search":         {at.searchKey(1, id), "02 6162 01020304 73 7ffffffffffffffe efeeedecebeae9e8e7e6e5e4e3e2e1e0"},
		"spans":          {at.spansKey(5), "02 6162 01020304 74 0000000000000005"},
		"delta":          {at.deltaKey(deltaRef{minute: 6, sequence: 7}), "02 6162 01020304 64 00000006 0000000000000007"},
		"rollup":         {at.rollupKey(rollup.Edges, 6), "02 6162 01020304 6f 02 00000006"},
		"default tenant": {partition{tenantPrefix(""), 1}.spansKey(5), "00 00000001 74 0000000000000005"},
		"long tenant": {
			partition{tenantPrefix(strings.Repeat("x", 128)), 1}.key(kindSpans, 0),
			// SHA-256 of 128 times x
			"a0 24da1b81d0b16df6428eee73c69fcb2a93c76bc6df706f0c6670fe6bfe800464 00000001 74",
		},
		"format": {formatKey(), "ff 66"},
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
		at.searchKey(math.MaxInt64, low), at.searchKey(1, high), at.searchKey(1, low), at.searchKey(0, high), at.searchKey(-1, high),
		at.searchKey(math.MinInt64, high),
	}
	require.True(t, slices.IsSortedFunc(want, bytes.Compare))
	require.Less(t, string(at.releaseKey(low, releaseRef{1, 9, 9})), string(at.releaseKey(low, releaseRef{2, 0, 0})))

	// A partition holds its own keys and no others', and all data comes before system keys.
	start, end := at.span(0)
	for _, key := range want {
		require.True(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
		require.Less(t, string(key), string(formatKey()))
	}
	for _, other := range []partition{{at.tenant, 6}, {at.tenant, 8}, {tenantPrefix("tt"), 7}, {tenantPrefix(""), 7}, {tenantPrefix("s"), 7}} {
		key := other.spansKey(1)
		require.False(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
	}
	last := partition{tenantPrefix("\xff\xff"), math.MaxUint32}
	_, end = last.span(0)
	require.Less(t, string(last.spansKey(math.MaxUint64)), string(end))
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
	f.Add("", uint32(0), int64(0), []byte{}, uint32(0), uint32(0), uint64(0))
	f.Add(strings.Repeat("x", 128), uint32(math.MaxUint32), int64(math.MinInt64), []byte("0123456789abcdef"), uint32(1), uint32(2), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, tenant string, day uint32, searchTime int64, idBytes []byte, version, part uint32, sequence uint64) {
		at := partition{tenantPrefix(tenant), day}
		var id pcommon.TraceID
		copy(id[:], idBytes)
		ref := releaseRef{version, part, sequence}
		for _, key := range [][]byte{at.traceKey(id), at.releaseKey(id, ref), at.searchKey(searchTime, id), at.spansKey(sequence), at.deltaKey(deltaRef{version, sequence}), at.rollupKey(rollup.Edges, version)} {
			got, err := decodePartition(key)
			require.NoError(t, err)
			require.Equal(t, at, got)
			start, end := at.span(0)
			require.True(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
		}
		gotRef, err := at.decodeRelease(at.releaseKey(id, ref))
		require.NoError(t, err)
		require.Equal(t, ref, gotRef)
		start, end := at.releaseSpan(id)
		require.True(t, bytes.Compare(start, at.releaseKey(id, ref)) <= 0 && bytes.Compare(at.releaseKey(id, ref), end) < 0)
		gotTime, gotID, err := at.decodeSearch(at.searchKey(searchTime, id))
		require.NoError(t, err)
		require.Equal(t, searchTime, gotTime)
		require.Equal(t, id, gotID)
		gotSequence, err := at.decodeSpans(at.spansKey(sequence))
		require.NoError(t, err)
		require.Equal(t, sequence, gotSequence)
		delta := deltaRef{version, sequence}
		gotDelta, err := at.decodeDelta(at.deltaKey(delta))
		require.NoError(t, err)
		require.Equal(t, delta, gotDelta)
		start, end = at.deltaSpan(version, version)
		require.True(t, bytes.Compare(start, at.deltaKey(delta)) <= 0 && bytes.Compare(at.deltaKey(delta), end) < 0)
		key := at.rollupKey(rollup.Table(part), version)
		gotTable, gotMinute, err := at.decodeRollup(key)
		require.NoError(t, err)
		require.Equal(t, rollup.Table(part), gotTable)
		require.Equal(t, version, gotMinute)
		start, end = at.rollupSpan(rollup.Table(part), version, version)
		require.True(t, bytes.Compare(start, key) <= 0 && bytes.Compare(key, end) < 0)
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
		at, err := decodePartition(key)
		if err != nil {
			return
		}
		_, _ = at.decodeRelease(key)
		_, _, _ = at.decodeSearch(key)
		_, _ = at.decodeSpans(key)
		_, _ = at.decodeDelta(key)
		_, _, _ = at.decodeRollup(key)
	})
}
