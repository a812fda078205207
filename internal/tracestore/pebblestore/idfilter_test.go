package pebblestore

import (
	"encoding/binary"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

func numberedID(n int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// TestIDFilter: what was added is found, through all sizes of chunks; of the rest about one in a hundred passes.
func TestIDFilter(t *testing.T) {
	const ids, block = 100_000, 400
	f := &idFilter{}
	for n := 0; n < ids; n += block {
		var hashes []uint64
		for i := range block {
			hashes = append(hashes, hashID(numberedID(n+i)))
		}
		f.add(uint64(n/block), hashes)
	}
	for n := range ids {
		require.True(t, f.mayHold(hashID(numberedID(n))))
	}
	passed := 0
	for n := range ids {
		if f.mayHold(hashID(numberedID(ids + n))) {
			passed++
		}
	}
	require.Less(t, passed, ids*3/100)
	require.Less(t, f.size(), 4*ids)

	small := &idFilter{}
	small.add(1, []uint64{1})
	require.Equal(t, 128, small.size(), "of a tenant with one trace a day")
}

// writeAll writes a filter down, like keepFilter.
func writeAll(f *idFilter, disk map[int][]byte) {
	for w, ok := f.nextWrite(); ok; w, ok = f.nextWrite() {
		if w.first {
			clear(disk)
		}
		disk[w.number] = w.value
		f.wrote(w)
	}
}

// readAll reads one back; nil is one that is of no use.
func readAll(t *testing.T, disk map[int][]byte) *idFilter {
	var chunks []storedChunk
	for number := range len(disk) {
		chunk, err := decodeIDChunk(disk[number])
		require.NoError(t, err)
		chunks = append(chunks, chunk)
	}
	f := &idFilter{}
	if !f.restore(chunks) {
		return nil
	}
	return f
}

// TestWrittenFilter writes a filter down at random moments, and some of the writes are lost: what is read holds all ids up to where it says, or
// is of no use.
func TestWrittenFilter(t *testing.T) {
	random := testRandom(1)
	useless, useful := 0, 0
	for range 200 {
		f, disk := &idFilter{}, make(map[int][]byte)
		ends := []int{0} // of the ids of each block
		for sequence := uint64(1); sequence < 60; sequence++ {
			first := ends[len(ends)-1]
			n := random.IntN(1 << random.IntN(10))
			var hashes []uint64
			for i := range n {
				hashes = append(hashes, hashID(numberedID(first+i)))
			}
			f.add(sequence, hashes)
			ends = append(ends, first+n)
			if random.IntN(5) > 0 {
				continue
			}
			before := maps.Clone(disk)
			writeAll(f, disk)
			after := maps.Clone(disk)
			for number := range len(disk) {
				if random.IntN(4) > 0 {
					continue
				}
				if value, ok := before[number]; ok { // this write is lost
					after[number] = value
				} else if number == len(after)-1 {
					delete(after, number)
				}
			}
			got := readAll(t, after)
			if got == nil {
				useless++
				continue
			}
			useful++
			require.Equal(t, len(after) > 0, got.upTo > 0)
			for n := range ends[got.upTo] {
				require.True(t, got.mayHold(hashID(numberedID(n))))
			}
		}
	}
	require.Positive(t, useless)
	require.Positive(t, useful)
}

func TestStoredChunk(t *testing.T) {
	chunk := storedChunk{idChunk: newIDChunk(40), upTo: 7, before: 1 << 33}
	chunk.add(7)
	chunk.unwritten = 0
	value := chunk.append(nil)
	got, err := decodeIDChunk(value)
	require.NoError(t, err)
	require.Equal(t, chunk, got)
	value[len(value)-1] ^= 1
	_, err = decodeIDChunk(value)
	require.ErrorIs(t, err, errValue)
}

// TestGivenUpFilter: what is not in memory is looked up, so that a trace is still found, and known when a release comes again.
func TestGivenUpFilter(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(-24*time.Hour), 0, 10, 2)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 10, 10, 2)))
	days := store.partitions.all()
	require.Len(t, days, 2)
	require.Zero(t, store.partitions.boundFilters(days[0].ids.size()+days[1].ids.size(), days[1].day))
	require.Equal(t, 1, store.partitions.boundFilters(0, days[1].day), "never today's")
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

// TestGivenUpWhileWriting: what comes between the look-up for a call and its turn is not taken for absent.
func TestGivenUpWhileWriting(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	yesterday := noon.AddDate(0, 0, -1)
	require.NoError(t, store.WriteCall(t.Context(), singles("", yesterday, 0, 10)))
	today := dayOf(noon.UnixNano())
	encode := func(first, n int) *encodedCall {
		call, err := store.encode(tracetree.Releases(singles("", noon, first, n)), noon.UnixNano())
		require.NoError(t, err)
		return call
	}
	d := store.partitions.all()[0]
	for _, test := range []struct {
		name      string
		meanwhile func()
		want      []bool // of traces 8 to 12
	}{
		{"nothing", func() {}, []bool{true, true, false, false, false}},
		{"a trace", func() { require.NoError(t, store.WriteCall(t.Context(), singles("", yesterday, 11, 1))) }, []bool{true, true, false, true, false}},
		{"given up again", func() {
			require.NoError(t, store.WriteCall(t.Context(), singles("", yesterday, 12, 1)))
			require.Equal(t, 1, store.partitions.boundFilters(0, today))
		}, []bool{true, true, true, true, true}},
		{"nothing again", func() {}, []bool{true, true, false, true, true}},
	} {
		store.partitions.boundFilters(0, today)
		call := encode(8, 5)
		found := store.lookUpGivenUp(t.Context(), call)
		require.Len(t, found, 1)
		test.meanwhile()
		var got []bool
		for n := 8; n < 13; n++ {
			got = append(got, found.mayHold(d, hashID(traceID(n))))
		}
		require.Equal(t, test.want, got, test.name)
		call.done()
	}
	// What was given up is not written down as if it were all.
	require.NoError(t, store.keepFilters())
	for n := range 10 {
		require.True(t, d.ids.mayHold(hashID(traceID(n))))
	}
}

func FuzzIDChunk(f *testing.F) {
	chunk := storedChunk{idChunk: newIDChunk(40), upTo: 3, before: 5}
	chunk.add(7)
	f.Add(chunk.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		chunk, err := decodeIDChunk(value)
		if err != nil {
			return
		}
		chunk.has(3)
		_, err = decodeIDChunk(chunk.append(nil))
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
