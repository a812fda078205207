package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// extent is where a record lies in its file.
type extent struct {
	begin, end int64
	record     []byte
}

// writeSegment writes records into one segment and returns its bytes.
func writeSegment(t testing.TB, records [][]byte) ([]byte, []extent) {
	t.Helper()
	fs := vfs.NewMem()
	l := open(t, fs, func(o *Options) { o.SegmentBytes = MaxSegmentBytes })
	var extents []extent
	for _, record := range records {
		p, err := l.Append(t.Context(), record)
		require.NoError(t, err)
		require.Equal(t, uint32(1), p.Segment)
		extents = append(extents, extent{int64(p.Offset), l.Bytes(), record})
	}
	require.NoError(t, l.Close())
	file, err := fs.Open(l.path(1, segmentSuffix))
	require.NoError(t, err)
	data, err := io.ReadAll(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return data, extents
}

// readBytes reads a segment of number 1 and checks what holds of any report.
func readBytes(t testing.TB, data []byte) (map[int64][]byte, Report) {
	t.Helper()
	got := map[int64][]byte{}
	encoded := int64(0)
	report, err := read(vfs.NewMemFile(data), 1, func(p Position, b []byte) error {
		require.Equal(t, uint32(1), p.Segment)
		require.NotContains(t, got, int64(p.Offset))
		got[int64(p.Offset)] = bytes.Clone(b)
		encoded += int64(len(b)) + chunkHeader
		return nil
	})
	if err != nil {
		require.ErrorContains(t, err, "move it away")
		return got, report
	}
	require.Len(t, got, report.Records)
	require.GreaterOrEqual(t, report.CorruptBytes, int64(0))
	require.GreaterOrEqual(t, report.TornBytes, int64(0))
	require.LessOrEqual(t, encoded+report.CorruptBytes+report.TornBytes, int64(len(data)))
	if report.Corrupt == 0 {
		require.Zero(t, report.CorruptBytes)
	}
	return got, report
}

func TestWhatIsNotDamagedIsRead(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var records [][]byte
		for range 5 + rng.IntN(60) {
			n := rng.IntN(2_000)
			if rng.IntN(8) == 0 {
				n = rng.IntN(150_000)
			}
			records = append(records, random(rng.Uint64(), n))
		}
		data, extents := writeSegment(t, records)
		blocks := (len(data) + blockSize - 1) / blockSize
		damaged := map[int64]bool{}
		for range 1 + rng.IntN(3) {
			block := rng.IntN(blocks)
			begin, end := block*blockSize, min(len(data), (block+1)*blockSize)
			switch rng.IntN(4) {
			case 0: // one bit
				at := begin + rng.IntN(end-begin)
				data[at] ^= 1 << rng.IntN(8)
			case 1: // a page that was never written
				at := begin + rng.IntN(end-begin)
				clear(data[at:min(end, at+4096)])
			case 2: // noise
				at := begin + rng.IntN(end-begin)
				copy(data[at:end], random(rng.Uint64(), rng.IntN(end-at)+1))
			case 3: // what belongs to another block
				from := rng.IntN(blocks) * blockSize
				copy(data[begin:end], data[from:min(from+blockSize, len(data))])
			}
			damaged[int64(block)] = true
		}
		size := len(data)
		if rng.IntN(2) == 0 {
			size = rng.IntN(len(data) + 1)
		}
		got, report := readBytes(t, data[:size])
		for _, e := range extents {
			whole := e.end <= int64(size)
			for block := e.begin / blockSize; block <= (e.end-1)/blockSize; block++ {
				whole = whole && !damaged[block]
			}
			record, ok := got[e.begin]
			if whole {
				require.True(t, ok, "seed %d: the record at %d is lost: %+v", seed, e.begin, report)
			}
			if ok {
				require.True(t, bytes.Equal(e.record, record), "seed %d: the record at %d is another", seed, e.begin)
				delete(got, e.begin)
			}
		}
		require.Empty(t, got, "seed %d: records that were never written", seed)
	}
}

func TestDamageIsReported(t *testing.T) {
	// Records of 10,000 bytes take 10,007: block 0 holds three and 2,731 bytes of the fourth, which begins at 30,037 (16 + 3 · 10,007)
	// and goes on in block 1 to 32,768 + 7 + 7,276 = 40,051. The fifth ends at 50,058.
	records := [][]byte{random(1, 10_000), random(2, 10_000), random(3, 10_000), random(4, 10_000), random(5, 10_000)}
	data, extents := writeSegment(t, records)
	require.Len(t, data, 50_058)
	begins := []int64{extents[0].begin, extents[1].begin, extents[2].begin, extents[3].begin, extents[4].begin}
	require.Equal(t, []int64{16, 10_023, 20_030, 30_037, 40_051}, begins)

	for name, c := range map[string]struct {
		damage func([]byte) []byte
		want   Report
	}{
		"nothing": {func(b []byte) []byte { return b }, Report{Records: 5}},
		"header":  {func(b []byte) []byte { b[3]++; return b }, Report{Records: 5, Corrupt: 1, CorruptBytes: 16}},
		"second record: the rest of its block, and what began there": {
			func(b []byte) []byte { b[15_000]++; return b }, Report{Records: 2, Corrupt: 1, CorruptBytes: 40_051 - 10_023},
		},
		"end of the fourth record": {
			func(b []byte) []byte { b[33_000]++; return b }, Report{Records: 3, TornBytes: 50_058 - 30_037},
		},
		"last record":           {func(b []byte) []byte { b[50_057]++; return b }, Report{Records: 4, TornBytes: 10_007}},
		"torn in a record":      {func(b []byte) []byte { return b[:45_000] }, Report{Records: 4, TornBytes: 45_000 - 40_051}},
		"torn in a header":      {func(b []byte) []byte { return b[:40_055] }, Report{Records: 4, TornBytes: 4}},
		"torn between blocks":   {func(b []byte) []byte { return b[:32_768] }, Report{Records: 3, TornBytes: 32_768 - 30_037}},
		"torn between records":  {func(b []byte) []byte { return b[:40_051] }, Report{Records: 4}},
		"torn in the header":    {func(b []byte) []byte { return b[:9] }, Report{TornBytes: 9}},
		"empty":                 {func(b []byte) []byte { return b[:0] }, Report{}},
		"zeros at the end":      {func(b []byte) []byte { return append(b, make([]byte, 40_000)...) }, Report{Records: 5, TornBytes: 40_000}},
		"zeros alone":           {func(b []byte) []byte { clear(b); return b }, Report{TornBytes: 50_058}},
		"all of the last block": {func(b []byte) []byte { clear(b[32_768:]); return b }, Report{Records: 3, TornBytes: 50_058 - 30_037}},
	} {
		t.Run(name, func(t *testing.T) {
			_, report := readBytes(t, c.damage(bytes.Clone(data)))
			require.Equal(t, c.want, report)
		})
	}
}

// The checksums were worked out by another implementation, bit by bit.
func TestGoldenSegment(t *testing.T) {
	data, _ := writeSegment(t, [][]byte{[]byte("hello"), nil})
	require.Equal(t, strings.ReplaceAll("74776a726e6c 0100 01000000 8b0853f3"+ // header
		" 99813e98 0500 07 68656c6c6f"+ // hello, at 16
		" f6e7fc9e 0000 07", " ", ""), hex.EncodeToString(data))
}

func TestSegmentOfAnotherKindIsRefused(t *testing.T) {
	data, _ := writeSegment(t, [][]byte{[]byte("hello")})
	_, err := read(vfs.NewMemFile(data), 2, nil)
	require.ErrorContains(t, err, "read journal segment 2: the file is of another kind, version or number")
}

func TestReadStopsWhenYieldDoes(t *testing.T) {
	data, _ := writeSegment(t, [][]byte{[]byte("hello"), nil})
	enough := errors.New("enough")
	report, err := read(vfs.NewMemFile(data), 1, func(Position, []byte) error { return enough })
	require.Equal(t, enough, err)
	require.Equal(t, 1, report.Records)
}

func TestBlockThatCannotBeReadCostsNoOther(t *testing.T) {
	records := make([][]byte, 20)
	for i := range records {
		records[i] = random(uint64(i), 10_000)
	}
	data, extents := writeSegment(t, records)
	got := 0
	report, err := read(badSector{vfs.NewMemFile(data), 2 * blockSize}, 1, func(Position, []byte) error { got++; return nil })
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorContains(t, err, "read journal segment 1 at 65536")
	want := 0
	for _, e := range extents {
		if e.end <= 2*blockSize || e.begin >= 3*blockSize {
			want++
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, 1, report.Corrupt)
}

type badSector struct {
	vfs.File
	at int64
}

func (f badSector) ReadAt(b []byte, offset int64) (int, error) {
	if offset == f.at {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(b, offset)
}

func FuzzRead(f *testing.F) {
	data, _ := writeSegment(f, [][]byte{[]byte("hello"), nil, random(1, 40_000), []byte("x")})
	f.Add(data)
	f.Add(data[:100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		// Whatever the bytes are, a record that is yielded is one whose encoding stands there.
		got, _ := readBytes(t, data)
		for offset, record := range got {
			s := &segment{number: 1, size: offset, buffer: make([]byte, 0, len(data)+3*blockSize)}
			_, err := s.add([][]byte{record})
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(data[offset:], s.buffer))
		}
	})
}
