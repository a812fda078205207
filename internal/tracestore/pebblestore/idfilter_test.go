package pebblestore

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

func numberedID(n int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// TestIDFilter: what was added is found, through all sizes of chunks; of the rest about one in a hundred passes.
func TestIDFilter(t *testing.T) {
	const ids, block = 100_000, 400
	f := &idFilter{}
	var full []*idChunk
	for n := 0; n < ids; n += block {
		var hashes []uint64
		for i := range block {
			hashes = append(hashes, hashID(numberedID(n+i)))
		}
		if chunk := f.add(uint64(n/block), hashes); chunk != nil {
			full = append(full, chunk)
		}
	}
	require.Len(t, f.chunks, 4)
	require.Equal(t, f.chunks[:3], full)
	for n := range ids {
		require.True(t, f.mayHold(hashID(numberedID(n))))
	}
	passed := 0
	for n := range ids {
		if f.mayHold(hashID(numberedID(ids + n))) {
			passed++
		}
	}
	require.Less(t, passed, ids*2/100)
	require.Less(t, f.size(), 4*ids)

	for _, chunk := range f.chunks {
		value := chunk.append(nil)
		got, err := decodeIDChunk(chunk.upTo, value)
		require.NoError(t, err)
		require.Equal(t, chunk, got)
		value[len(value)-1] ^= 1
		_, err = decodeIDChunk(chunk.upTo, value)
		require.ErrorIs(t, err, errValue)
	}
}

// TestGivenUpFilter: what is not in memory is looked up, so that a trace is still found, and known when a release comes again.
func TestGivenUpFilter(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(-24*time.Hour), 0, 10, 2)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 10, 10, 2)))
	days := store.partitions.all()
	require.Len(t, days, 2)
	require.Zero(t, store.partitions.boundFilters(days[0].ids.size()+days[1].ids.size()))
	require.Equal(t, 1, store.partitions.boundFilters(days[1].ids.size()))
	require.Zero(t, days[0].ids.size(), "the oldest day's")
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(-24*time.Hour), 30, 10, 2)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 3, 1, 1)))
	for n, want := range map[int][]int{3: {2, 1}, 9: {2}, 12: {2}, 35: {2}} {
		counts, err := spanCounts(t, store, traceID(n))
		require.NoError(t, err)
		require.Equal(t, want, counts)
	}
	_, err := spanCounts(t, store, traceID(99))
	require.ErrorIs(t, err, tracestore.ErrNotFound)
	require.EqualValues(t, 1, store.Stats().JoinedReleases)
}

func FuzzIDChunk(f *testing.F) {
	chunk := newIDChunk(40)
	chunk.add(7)
	f.Add(chunk.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		chunk, err := decodeIDChunk(1, value)
		if err != nil {
			return
		}
		chunk.has(3)
		_, err = decodeIDChunk(1, chunk.append(nil))
		require.NoError(t, err)
	})
}

func BenchmarkIDFilter(b *testing.B) {
	f := &idFilter{}
	for n := range 1 << 20 {
		f.add(1, []uint64{hashID(numberedID(n))})
	}
	n := 0
	for b.Loop() {
		n++
		f.mayHold(hashID(numberedID(-n)))
	}
}
