package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

const directory = "/data/journal"

// open opens a log whose segments hold 256 KiB, unless change says otherwise.
func open(t testing.TB, fs FS, change func(*Options)) *Log {
	t.Helper()
	options := Options{FS: fs, Directory: directory, SegmentBytes: 256 << 10}
	if change != nil {
		change(&options)
	}
	l, err := Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// random is n bytes that no other seed gives.
func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// readAll reads every segment of the log.
func readAll(t testing.TB, l *Log) (map[Position][]byte, []Report) {
	t.Helper()
	records := map[Position][]byte{}
	var reports []Report
	for _, s := range l.Segments() {
		before := int64(-1)
		report, err := l.Read(s.Number, func(p Position, b []byte) error {
			require.Equal(t, s.Number, p.Segment)
			require.Greater(t, int64(p.Offset), before, "records come in order")
			before = int64(p.Offset)
			records[p] = bytes.Clone(b)
			return nil
		})
		require.NoError(t, err)
		reports = append(reports, report)
	}
	return records, reports
}

func TestRecordsComeBack(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, nil)
	want := map[Position][]byte{}
	// Sizes around the ends of blocks (32,761 bytes fit a block), larger than a block, than the buffer, and than a segment.
	sizes := []int{0, 1, 7, 8, 32 << 10, 32761, 32760, 32762, 65522, 32753, 32752, 32751, 300_000, 600_000, 3, 1 << 20, 5}
	for i := range 3000 {
		sizes = append(sizes, i%97)
	}
	for i, n := range sizes {
		record := random(uint64(i), n)
		cut := n / 3
		p, err := l.Append(t.Context(), record[:cut], nil, record[cut:])
		require.NoError(t, err)
		require.NotContains(t, want, p)
		want[p] = record
	}
	check := func(l *Log, old bool) {
		got, reports := readAll(t, l)
		require.Equal(t, want, got)
		n, size := 0, int64(0)
		for i, s := range l.Segments() {
			require.Equal(t, Report{Records: reports[i].Records}, reports[i])
			require.Equal(t, old, s.Old)
			info, err := fs.Stat(l.path(s.Number, segmentSuffix))
			require.NoError(t, err)
			require.Equal(t, info.Size(), s.Bytes)
			n += reports[i].Records
			size += s.Bytes
		}
		require.Len(t, sizes, n)
		require.Equal(t, size, l.Bytes())
	}
	check(l, false)
	require.Greater(t, len(l.Segments()), 3)
	require.Empty(t, l.Old())
	require.NoError(t, l.Close())

	l = open(t, fs, nil)
	check(l, true)
	require.Equal(t, l.Segments(), l.Old())
	p, err := l.Append(t.Context(), []byte("x"))
	require.NoError(t, err)
	old := l.Old()
	require.Greater(t, p.Segment, old[len(old)-1].Number, "no old segment is appended to")
	require.Equal(t, SegmentInfo{Number: p.Segment, Bytes: 16 + 7 + 1}, l.Segments()[len(old)])
}

func TestConcurrentCallsShareOneSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		syncs := 0
		release := make(chan struct{})
		l := open(t, hookedFS{FS: vfs.NewMem(), sync: func() error {
			syncs++
			<-release
			return nil
		}}, func(o *Options) { o.SegmentBytes = 1 << 30 })
		var mu sync.Mutex
		want := map[Position][]byte{}
		var calls sync.WaitGroup
		call := func(seed int) {
			record := random(uint64(seed), seed*1000)
			p, err := l.Append(t.Context(), record)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || want[p] != nil {
				t.Errorf("record %d: position %v, error %v", seed, p, err)
			}
			want[p] = record
		}
		calls.Go(func() { call(0) })
		synctest.Wait()
		for i := range 100 {
			calls.Go(func() { call(i + 1) })
		}
		synctest.Wait()
		require.Equal(t, 1, syncs)
		close(release)
		calls.Wait()
		require.Equal(t, 2, syncs, "one for the first, one for the hundred that came meanwhile")
		got, _ := readAll(t, l)
		require.Equal(t, want, got)
		require.NoError(t, l.Close())
	})
}

func TestFullLogRefusesUntilASegmentIsRemoved(t *testing.T) {
	l := open(t, vfs.NewMem(), func(o *Options) { o.SegmentBytes, o.MaxBytes = 10_000, 100_000 })
	var positions []Position
	var err error
	for err == nil {
		var p Position
		if p, err = l.Append(t.Context(), random(1, 9_000)); err == nil {
			positions = append(positions, p)
		}
	}
	require.ErrorIs(t, err, ErrFull)
	require.Len(t, positions, 11, "each takes 9,007 bytes; the padding where a block ends comes on top")
	require.LessOrEqual(t, l.Bytes(), int64(100_000))
	require.NoError(t, l.Write(t.Context(), []byte("mark")), "what tells which segments can go is not held back")

	before := l.Bytes()
	require.NoError(t, l.Remove(positions[0].Segment))
	require.NoError(t, l.Remove(positions[0].Segment), "once more is no error")
	require.Less(t, l.Bytes(), before-18_000)
	_, err = l.Append(t.Context(), random(1, 9_000))
	require.NoError(t, err)
	_, err = l.Read(positions[0].Segment, nil)
	require.ErrorContains(t, err, "read journal segment 1")
}

func TestRemovedNumbersNeverComeAgain(t *testing.T) {
	fs := vfs.NewCrashableMem()
	seen := map[uint32]bool{}
	for round := range 10 {
		l := open(t, fs, nil)
		require.Empty(t, l.Segments())
		for range round * 20 { // more than one reservation covers
			tail := l.Tail()
			p, err := l.Append(t.Context(), []byte("x"))
			require.NoError(t, err)
			require.Equal(t, tail, p.Segment)
			require.False(t, seen[p.Segment], p)
			seen[p.Segment] = true
			require.NoError(t, l.Remove(p.Segment), "the open one goes too")
			require.Zero(t, l.Bytes())
			require.Greater(t, l.Tail(), p.Segment)
		}
		names, err := fs.List(directory)
		require.NoError(t, err)
		require.LessOrEqual(t, len(names), 2, "the lock and one reservation: %v", names)
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		require.NoError(t, l.Close())
		fs = crashed
	}
}

func TestOneProcessHasTheDirectory(t *testing.T) {
	dir := t.TempDir() + "/a/b"
	options := Options{Directory: dir, SegmentBytes: 1 << 20}
	l, err := Open(options)
	require.NoError(t, err)
	_, err = Open(options)
	require.ErrorContains(t, err, "is another process using it?")
	require.ErrorContains(t, err, dir)
	p, err := l.Append(t.Context(), []byte("on a real disk"))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "twice is no error")

	l, err = Open(options)
	require.NoError(t, err)
	got, _ := readAll(t, l)
	require.Equal(t, map[Position][]byte{p: []byte("on a real disk")}, got)
	require.NoError(t, l.Close())
}

func TestClosedLogAnswersSo(t *testing.T) {
	l := open(t, vfs.NewMem(), nil)
	require.NoError(t, l.Close())
	_, err := l.Append(t.Context(), []byte("x"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, l.Write(t.Context(), []byte("x")), ErrClosed)
	require.ErrorIs(t, l.Remove(1), ErrClosed)
}

func TestOptionsAreChecked(t *testing.T) {
	for _, n := range []int64{0, -1, MaxSegmentBytes + 1} {
		_, err := Open(Options{FS: vfs.NewMem(), Directory: directory, SegmentBytes: n})
		require.ErrorContains(t, err, "segment bytes")
	}
}

func TestCallerThatGoesAwayTakesItsRecordAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		fs := hookedFS{FS: vfs.NewMem(), sync: func() error { <-stuck; return nil }}
		l := open(t, fs, nil)
		var answered sync.WaitGroup
		answered.Go(func() {
			_, err := l.Append(t.Context(), []byte("stuck in a sync"))
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Append(ctx, random(1, 100_000))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = l.Append(ctx, []byte("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded, "nor is it begun")
		require.Empty(t, l.queue)
		close(stuck)
		answered.Wait()
		got, _ := readAll(t, l)
		require.Len(t, got, 1)
		require.NoError(t, l.Close())
	})
}

func TestWhenRecordsAreSynced(t *testing.T) {
	for name, c := range map[string]struct {
		policy Policy
		write  func(*Log) error
		want   []time.Duration // when syncs begin
		closed int             // syncs after Close
	}{
		"always":             {Always, appendOne, []time.Duration{0}, 1},
		"interval":           {Interval(time.Second), appendOne, []time.Duration{time.Second}, 1},
		"never":              {OS, appendOne, nil, 0},
		"always, unwaited":   {Always, writeOne, []time.Duration{100 * time.Millisecond}, 1},
		"interval, unwaited": {Interval(time.Second), writeOne, []time.Duration{time.Second}, 1},
		"long interval":      {Interval(time.Hour), appendOne, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var syncs []time.Duration
				begin := time.Now()
				fs := hookedFS{FS: vfs.NewMem(), sync: func() error { syncs = append(syncs, time.Since(begin)); return nil }}
				calls := 0
				l := open(t, fs, func(o *Options) { o.Sync, o.OnSync = c.policy, func(time.Duration) { calls++ } })
				require.NoError(t, c.write(l))
				require.NoError(t, c.write(l))
				time.Sleep(time.Minute)
				synctest.Wait()
				if name == "always" {
					c.want, c.closed = append(c.want, 0), 2
				}
				require.Equal(t, c.want, syncs)
				got, _ := readAll(t, l)
				require.Len(t, got, 2, "what was written reached the file at once")
				require.NoError(t, l.Close())
				require.Len(t, syncs, c.closed)
				require.Equal(t, c.closed, calls)
			})
		})
	}
}

func appendOne(l *Log) error {
	_, err := l.Append(context.Background(), []byte("x"))
	return err
}

func writeOne(l *Log) error { return l.Write(context.Background(), []byte("x")) }

func TestWriteWaitsWhenTooMuchIsUnwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		l := open(t, hookedFS{FS: vfs.NewMem(), write: func() error { <-stuck; return nil }}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		mark := random(1, 1000)
		require.NoError(t, l.Write(ctx, mark), "this one the writer is stuck with")
		synctest.Wait()
		n := 0
		for l.Write(ctx, mark) == nil {
			n++
		}
		require.Equal(t, maxUnwaited/int(maxEncoded(len(mark))), n)
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		close(stuck)
		require.NoError(t, l.Close())
	})
}

func TestFullDiskHealsByItself(t *testing.T) {
	disk := vfs.NewMem()
	var room atomic.Int64
	room.Store(3)
	fs := hookedFS{FS: disk, write: func() error {
		if room.Add(-1) < 0 {
			return syscall.ENOSPC
		}
		return nil
	}}
	var failures []error
	l := open(t, fs, func(o *Options) { o.OnError = func(err error) { failures = append(failures, err) } })
	want := map[Position][]byte{}
	attempts := 0
	for i := range 20 {
		record := []byte(fmt.Sprint("record ", i))
		p, err := l.Append(t.Context(), record)
		attempts++
		if i >= 3 && i < 10 {
			require.ErrorIs(t, err, syscall.ENOSPC)
			if i == 9 {
				room.Store(1000)
			}
			continue
		}
		require.NoError(t, err)
		want[p] = record
	}
	require.Len(t, failures, 7)
	got, reports := readAll(t, l)
	require.Equal(t, want, got)
	require.Len(t, reports, 2, "attempts that failed leave no files: the one before, the one after")
}

func TestFailedSyncEndsTheSegment(t *testing.T) {
	fail := false
	fs := hookedFS{FS: vfs.NewMem(), sync: func() error {
		if fail {
			return syscall.EIO
		}
		return nil
	}}
	l := open(t, fs, nil)
	before, err := l.Append(t.Context(), []byte("before"))
	require.NoError(t, err)
	fail = true
	_, err = l.Append(t.Context(), []byte("in between"))
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, "sync journal segment 1: input/output error", err.Error())
	fail = false
	after, err := l.Append(t.Context(), []byte("after"))
	require.NoError(t, err)
	require.Greater(t, after.Segment, before.Segment)
	got, _ := readAll(t, l)
	require.Equal(t, map[Position][]byte{before: []byte("before"), after: []byte("after"), {1, 16 + 7 + 6}: []byte("in between")}, got,
		"a record that was answered with an error may be found")
}

func TestRecordThatIsTooLarge(t *testing.T) {
	l := open(t, vfs.NewMem(), nil)
	part := make([]byte, 1<<20)
	parts := make([][]byte, 1025)
	for i := range parts {
		parts[i] = part
	}
	_, err := l.Append(t.Context(), parts...)
	require.ErrorIs(t, err, ErrTooLarge)
}

// hookedFS calls hooks before a file is written or synced; an error takes the place of the call.
type hookedFS struct {
	FS
	write, sync func() error
}

func (f hookedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return hookedFile{file, f}, err
}

type hookedFile struct {
	vfs.File
	fs hookedFS
}

func (f hookedFile) Write(b []byte) (int, error) {
	if f.fs.write != nil {
		if err := f.fs.write(); err != nil {
			return 0, err
		}
	}
	return f.File.Write(b)
}

func (f hookedFile) SyncData() error {
	if f.fs.sync != nil {
		if err := f.fs.sync(); err != nil {
			return err
		}
	}
	return f.File.SyncData()
}
