package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/tracewright/tracewright/internal/tracestore"
)

func TestReopen(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	first := newCall(noon, 0, 10, 5)
	require.NoError(t, store.WriteCall(t.Context(), first))
	require.NoError(t, store.Close())
	require.NoError(t, store.Close())
	require.ErrorIs(t, store.WriteCall(t.Context(), first), tracestore.ErrClosed)
	_, err := store.Search(t.Context(), "", aroundNoon())
	require.ErrorIs(t, err, tracestore.ErrClosed)
	_, err = spanCounts(t, store, traceID(1))
	require.ErrorIs(t, err, tracestore.ErrClosed)

	store = openStore(t, Options{Path: path, Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), first)) // known
	require.Equal(t, int64(1), store.Stats().RepeatedCalls)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 10, 10, 5)))
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 20)
	for n := range 20 { // the sequence went on, so nothing was written over
		counts, err := spanCounts(t, store, traceID(n))
		require.NoError(t, err)
		require.Equal(t, []int{5}, counts)
	}
}

// TestCrash loses everything that was not synced, while writers are at work: what was acknowledged is there, whole, once.
func TestCrash(t *testing.T) {
	const path = "data"
	fs := vfs.NewCrashableMem()
	r := rand.New(rand.NewPCG(1, 2))
	next := 0
	var acknowledged []int
	for round := range 8 {
		store, err := Open(Options{Path: path, Now: atNoon, FS: fs})
		require.NoError(t, err)
		var mu sync.Mutex
		var wg sync.WaitGroup
		var crashed atomic.Bool
		var taken []int
		enough := make(chan struct{}, 1000)
		for w := range 4 {
			base := next + w*100
			wg.Go(func() {
				for i := 0; i < 100 && !crashed.Load(); i++ {
					assert.NoError(t, store.WriteCall(t.Context(), newCall(noon, base+i, 1, 3)))
					mu.Lock()
					taken = append(taken, base+i)
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		wg.Go(func() {
			for !crashed.Load() {
				assert.NoError(t, store.foldRollups())
			}
		})
		for range 10 + round*10 {
			<-enough
		}
		mu.Lock()
		acknowledged = append(acknowledged, taken...)
		unsynced := r.IntN(2) * 50
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: r})
		mu.Unlock()
		crashed.Store(true)
		wg.Wait()
		require.NoError(t, store.Close())
		fs, next = after, next+400
	}

	store := openStore(t, Options{Path: path, Now: atNoon, FS: fs})
	for _, n := range acknowledged {
		counts, err := spanCounts(t, store, traceID(n))
		require.NoError(t, err)
		require.Equal(t, []int{3}, counts)
	}
	page := mustSearch(t, store, aroundNoon())
	require.GreaterOrEqual(t, page.Total.Count, len(acknowledged))
	query := dayAround(noon)
	done, err := store.Completeness(t.Context(), "", query)
	require.NoError(t, err)
	require.EqualValues(t, 3*page.Total.Count, done.Spans, "rollups count what is there, once")
	for _, n := range acknowledged { // and they are known
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, n, 1, 3)))
	}
	require.Equal(t, int64(len(acknowledged)), store.Stats().RepeatedCalls)
	require.Equal(t, page.Total, mustSearch(t, store, aroundNoon()).Total)
	again, err := store.Completeness(t.Context(), "", query)
	require.NoError(t, err)
	require.Equal(t, done, again)
}

// markedFS crashes when the file is made that points to a manifest.
type markedFS struct {
	vfs.FS
	crash func()
}

func (fs *markedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.Create(name, category)
	if strings.HasPrefix(filepath.Base(name), "marker.manifest.") {
		fs.crash()
	}
	return file, err
}

// TestCrashWhileOpening loses power while a folder is opened: some of what was done then may be on the disk. It can be opened again.
func TestCrashWhileOpening(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		mem := vfs.NewCrashableMem()
		store := openStore(t, Options{Path: "data", Now: atNoon, FS: mem})
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
		require.NoError(t, store.Close())
		var after *vfs.MemFS
		fs := &markedFS{mem, func() { after = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: r}) }}
		require.NoError(t, openStore(t, Options{Path: "data", Now: atNoon, FS: fs}).Close())
		store = openStore(t, Options{Path: "data", Now: atNoon, FS: after})
		counts, err := spanCounts(t, store, traceID(1))
		require.NoError(t, err)
		require.Equal(t, []int{3}, counts)
		require.NoError(t, store.Close())
	}
}

// smallFS is a file system that can be full, or have a broken disk.
type smallFS struct {
	vfs.FS
	writeErr, syncErr atomic.Pointer[error]
}

func (fs *smallFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.writeErr.Load(); err != nil {
		return nil, *err
	}
	file, err := fs.FS.Create(name, category)
	return &smallFile{file, fs}, err
}

func (fs *smallFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return &smallFile{file, fs}, err
}

type smallFile struct {
	vfs.File
	fs *smallFS
}

func (f *smallFile) Write(p []byte) (int, error) {
	if err := f.fs.writeErr.Load(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2]) // some of it went through
		return n, *err
	}
	return f.File.Write(p)
}

func (f *smallFile) SyncData() error {
	if err := f.fs.syncErr.Load(); err != nil {
		return *err
	}
	return f.File.SyncData()
}

// healthLog records what OnHealth is told.
type healthLog struct {
	mu   sync.Mutex
	told []error
	news chan struct{}
}

func newHealthLog() *healthLog { return &healthLog{news: make(chan struct{}, 100)} }

func (h *healthLog) tell(err error) {
	h.mu.Lock()
	h.told = append(h.told, err)
	h.mu.Unlock()
	h.news <- struct{}{}
}

func (h *healthLog) all() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// TestFullDisk: calls are refused for as long as the disk is full, reading goes on, and everything resumes by itself.
func TestFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &smallFS{FS: mem}
	health := newHealthLog()
	store := openStore(t, Options{Path: "data", Now: atNoon, FS: fs, OnHealth: health.tell})
	store.disk.retry = time.Millisecond
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))

	for round := range 3 {
		full := error(syscall.ENOSPC)
		fs.writeErr.Store(&full)
		held := newCall(noon, 10+round, 1, 3)
		// The call that meets the full disk first, and those after it.
		for range 3 {
			err := store.WriteCall(t.Context(), held)
			require.ErrorIs(t, err, syscall.ENOSPC)
		}
		<-health.news
		counts, err := spanCounts(t, store, traceID(1))
		require.NoError(t, err)
		require.Equal(t, []int{3}, counts)
		mustSearch(t, store, aroundNoon())

		fs.writeErr.Store(nil)
		<-health.news
		require.NoError(t, store.WriteCall(t.Context(), held))
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 100+round*100, 100, 20)))
	}
	told := health.all()
	require.Len(t, told, 6)
	require.ErrorIs(t, told[0], syscall.ENOSPC)
	require.NoError(t, told[1])

	// Everything acknowledged survives a crash.
	after := openStore(t, Options{Path: "data", Now: atNoon, FS: mem.CrashClone(vfs.CrashCloneCfg{})})
	require.Len(t, mustSearch(t, after, aroundNoon()).Traces, 304)
	require.Equal(t, int64(7), store.Stats().Calls)
	require.Equal(t, int64(3), store.Stats().RepeatedCalls)
}

// fullingFS is a disk with so many bytes left.
type fullingFS struct {
	vfs.FS
	free atomic.Uint64
}

func (fs *fullingFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: fs.free.Load(), TotalBytes: 100 << 30}, nil
}

// TestNearlyFullDisk: calls are refused before the disk is full, so that retention can make room, and taken again behind it.
func TestNearlyFullDisk(t *testing.T) {
	const day = 24 * time.Hour
	fs := &fullingFS{FS: vfs.NewMem()}
	fs.free.Store(1 << 30)
	health := newHealthLog()
	clock := newClock(noon)
	store := openStore(t, Options{Path: "data", Now: clock.now, FS: fs, OnHealth: health.tell, Retention: 3 * day})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
	clock.set(noon.Add(3 * day))
	require.NoError(t, store.WriteCall(t.Context(), newCall(clock.now(), 2, 2, 3)))

	fs.free.Store(10 << 20)
	store.checkSpace()
	store.checkSpace()
	err := store.WriteCall(t.Context(), newCall(clock.now(), 5, 1, 3))
	require.ErrorIs(t, err, errLowSpace)
	require.False(t, consumererror.IsPermanent(err))
	require.Len(t, mustSearch(t, store, &tracestore.SearchQuery{Start: noon.Add(-day), End: noon.Add(4 * day), Limit: 10}).Traces, 3)
	require.NoError(t, store.Delete(t.Context(), "", traceID(2)))
	clock.set(noon.Add(4 * day))
	require.NoError(t, store.dropExpired())
	_, err = spanCounts(t, store, traceID(1))
	require.ErrorIs(t, err, tracestore.ErrNotFound, "it is dropped")
	counts, err := spanCounts(t, store, traceID(3))
	require.NoError(t, err)
	require.Equal(t, []int{3}, counts)

	fs.free.Store(70 << 20) // retention is not to make room for a single call
	store.checkSpace()
	require.ErrorIs(t, store.WriteCall(t.Context(), newCall(clock.now(), 5, 1, 3)), errLowSpace)
	fs.free.Store(90 << 20)
	store.checkSpace()
	require.NoError(t, store.WriteCall(t.Context(), newCall(clock.now(), 5, 1, 3)))
	told := health.all()
	require.Len(t, told, 2)
	require.ErrorIs(t, told[0], errLowSpace)
	require.NoError(t, told[1])
}

// TestFullDiskWhileFlushing fills the disk while tables are written: that work is held and resumes.
func TestFullDiskWhileFlushing(t *testing.T) {
	fs := &smallFS{FS: vfs.NewMem()}
	health := newHealthLog()
	store := openStore(t, Options{Path: "data", Now: atNoon, FS: fs, OnHealth: health.tell})
	store.disk.retry = time.Millisecond
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 200, 20)))
	full := error(syscall.ENOSPC)
	fs.writeErr.Store(&full)
	flushed := make(chan error, 1)
	go func() { flushed <- store.db.Flush() }()
	<-health.news
	require.ErrorIs(t, store.WriteCall(t.Context(), newCall(noon, 500, 1, 3)), syscall.ENOSPC)
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 200)
	fs.writeErr.Store(nil)
	<-health.news
	require.NoError(t, <-flushed)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 500, 1, 3)))
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 201)
}

// TestCloseOnFullDisk: closing does not wait for space.
func TestCloseOnFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	fs := &smallFS{FS: mem}
	store, err := Open(Options{Path: "data", Now: atNoon, FS: fs})
	require.NoError(t, err)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
	full := error(syscall.ENOSPC)
	fs.writeErr.Store(&full)
	require.ErrorIs(t, store.WriteCall(t.Context(), newCall(noon, 2, 1, 3)), syscall.ENOSPC)
	require.ErrorIs(t, store.Close(), syscall.ENOSPC)

	// A disk that is full at the start is an error at the start.
	_, err = Open(Options{Path: "data", Now: atNoon, FS: fs})
	require.ErrorIs(t, err, syscall.ENOSPC)
	fs.writeErr.Store(nil)
	store = openStore(t, Options{Path: "data", Now: atNoon, FS: fs})
	counts, err := spanCounts(t, store, traceID(1))
	require.NoError(t, err)
	require.Equal(t, []int{3}, counts)
}

// TestDeleteOnFullDisk: a deletion is refused like a call, and done when there is space.
func TestDeleteOnFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &smallFS{FS: mem}
	health := newHealthLog()
	store := openStore(t, Options{Path: "data", Now: atNoon, FS: fs, OnHealth: health.tell})
	store.disk.retry = time.Millisecond
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 2, 3)))
	full := error(syscall.ENOSPC)
	fs.writeErr.Store(&full)
	for n := range 2 { // the one that meets the full disk, and one after it
		require.ErrorIs(t, store.Delete(t.Context(), "", traceID(1+n)), syscall.ENOSPC)
	}
	<-health.news
	fs.writeErr.Store(nil)
	<-health.news
	_, err := spanCounts(t, store, traceID(1))
	require.ErrorIs(t, err, tracestore.ErrNotFound)
	require.NoError(t, store.Delete(t.Context(), "", traceID(2)))

	after := openStore(t, Options{Path: "data", Now: atNoon, FS: mem.CrashClone(vfs.CrashCloneCfg{})})
	require.Empty(t, mustSearch(t, after, aroundNoon()).Traces)
}

// heldFS is a disk on which an fsync takes until it is let go.
type heldFS struct {
	vfs.FS
	held atomic.Pointer[chan struct{}]
}

func (fs *heldFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.Create(name, category)
	return &heldFile{file, fs}, err
}

type heldFile struct {
	vfs.File
	fs *heldFS
}

func (f *heldFile) SyncData() error {
	if held := f.fs.held.Load(); held != nil {
		<-*held
	}
	return f.File.SyncData()
}

// TestDeleteEndsWithItsContext, though the disk does not answer.
func TestDeleteEndsWithItsContext(t *testing.T) {
	fs := &heldFS{FS: vfs.NewMem()}
	store := openStore(t, Options{Path: "data", Now: atNoon, FS: fs})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
	held := make(chan struct{})
	fs.held.Store(&held)
	defer close(held)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, store.Delete(ctx, "", traceID(1)), context.DeadlineExceeded)
}

// TestCloseBehindBrokenLog: closing ends, though the write that it does is the first to meet a log that failed. It runs in a process of
// its own, because such a database is never rid of its goroutines.
func TestCloseBehindBrokenLog(t *testing.T) {
	const child = "PEBBLESTORE_CLOSE_BEHIND_BROKEN_LOG"
	if os.Getenv(child) == "" {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var out []byte
		for range 10 {
			command := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCloseBehindBrokenLog$")
			command.Env = append(os.Environ(), child+"=1")
			var err error
			out, err = command.CombinedOutput()
			require.NoError(t, err, string(out))
			// Pebble's writer of the log may say once more that it failed, before Close looks: then Close writes nothing.
			if strings.Contains(string(out), "the folder stays locked") {
				return
			}
		}
		require.Fail(t, "the log never failed behind Close's look at it", string(out))
	}
	fs := &smallFS{FS: vfs.NewMem()}
	store, err := Open(Options{Path: "data", Now: atNoon, FS: fs})
	require.NoError(t, err)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
	broken := errors.New("input/output error")
	fs.writeErr.Store(&broken)
	batch := store.db.NewBatch()
	require.NoError(t, batch.LogData([]byte("x"), nil))
	require.NoError(t, store.db.ApplyNoSyncWait(batch, pebble.Sync))
	require.ErrorIs(t, batch.SyncWait(), broken)
	// Commits meet the error as soon as a block of the log is full.
	require.NoError(t, store.db.LogData(make([]byte, 64<<10), pebble.NoSync))
	store.failure.Store(nil) // as if the log failed between Close's look at it and what Close writes
	fmt.Println(store.Close())
	os.Exit(0)
}

// TestBrokenDisk: after a failed fsync nothing is acknowledged any more, and what was can still be read.
func TestBrokenDisk(t *testing.T) {
	fs := &smallFS{FS: vfs.NewMem()}
	health := newHealthLog()
	store, err := Open(Options{Path: "data", Now: atNoon, FS: fs, OnHealth: health.tell})
	require.NoError(t, err)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 1, 1, 3)))
	broken := errors.New("input/output error")
	fs.syncErr.Store(&broken)
	lost := newCall(noon, 2, 1, 3)
	require.ErrorIs(t, store.WriteCall(t.Context(), lost), broken)
	fs.syncErr.Store(nil) // the next fsync would succeed, without the data
	for range 3 {
		require.ErrorIs(t, store.WriteCall(t.Context(), lost), broken)
		require.ErrorIs(t, store.WriteCall(t.Context(), newCall(noon, 3, 1, 3)), broken)
	}
	<-health.news
	told := health.all()
	require.Len(t, told, 1)
	require.ErrorIs(t, told[0], broken)
	require.ErrorIs(t, told[0], ErrFailed)
	counts, err := spanCounts(t, store, traceID(1))
	require.NoError(t, err)
	require.Equal(t, []int{3}, counts)
	require.ErrorIs(t, store.Close(), broken)
}
