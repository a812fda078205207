package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
)

// unreadableFS is a disk that does not give the first file of bodies.
type unreadableFS struct {
	vfs.FS
	first atomic.Pointer[string]
	fails atomic.Bool
}

func (f *unreadableFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if filepath.Ext(name) == ".blob" {
		f.first.CompareAndSwap(nil, &name)
	}
	return f.FS.Create(name, category)
}

func (f *unreadableFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, options...)
	return &unreadableFile{file, f, name}, err
}

type unreadableFile struct {
	vfs.File
	fs   *unreadableFS
	name string
}

func (f *unreadableFile) ReadAt(p []byte, offset int64) (int, error) {
	if first := f.fs.first.Load(); f.fs.fails.Load() && first != nil && *first == f.name {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: syscall.EIO}
	}
	return f.File.ReadAt(p, offset)
}

// filesOfCalls writes calls of ten traces and 30 spans, whose bodies lie in a file each. Their traces are those from 0, 10, … on.
func filesOfCalls(t *testing.T, calls int, options Options) (*Store, *unreadableFS) {
	t.Helper()
	disk := &unreadableFS{FS: vfs.NewMem()}
	options.Path, options.FS = "data", disk
	store := openStore(t, options)
	for n := range calls {
		require.NoError(t, store.WriteCall(t.Context(), payloads(newCall(noon, 10*n, 10, 3), separatedBytes)))
		require.NoError(t, store.db.Flush())
	}
	require.NoError(t, store.writeSums())
	return store, disk
}

// TestRetentionPassesUnreadableBlocks: a block that the disk does not give keeps no other from being dropped, thinned or rewritten, and is tried again another day.
func TestRetentionPassesUnreadableBlocks(t *testing.T) {
	clock := newClock(noon)
	store, disk := filesOfCalls(t, 3, Options{Now: clock.now, KeepAll: 24 * time.Hour})
	disk.fails.Store(true)
	require.NoError(t, store.Delete(t.Context(), "", traceID(0)))
	require.NoError(t, store.Delete(t.Context(), "", traceID(10)))
	require.NoError(t, store.mergeBlocks())
	require.Equal(t, []uint32{30, 27, 30}, blockSpans(store), "what is deleted of the second is gone")

	store.options.MaxBytes = sizeOf(store) - 1 // a twentieth is dropped, which is one block
	require.NoError(t, store.dropOverflow())
	require.Equal(t, []uint32{30, 30}, blockSpans(store))

	clock.set(noon.Add(72 * time.Hour))
	require.NoError(t, store.thin())
	require.Equal(t, []uint32{30}, blockSpans(store))

	disk.fails.Store(false)
	clock.set(noon.Add(96 * time.Hour)) // the store may have tried on the day before
	require.NoError(t, store.mergeBlocks())
	require.Equal(t, []uint32{27}, blockSpans(store), "it is another day")
}

// TestReadersPassUnreadableBlocks: of a block that the disk does not give only its own traces are not found, and their rows are made later.
func TestReadersPassUnreadableBlocks(t *testing.T) {
	store, disk := filesOfCalls(t, 2, Options{Now: atNoon})
	release := holdJoiner(store)
	for n := range 2 {
		require.NoError(t, store.WriteCall(t.Context(), lone(noon, noon, traceID(10*n), 99)))
	}
	disk.fails.Store(true)
	release()
	require.NoError(t, store.finishJoins(t.Context()))
	open, _ := store.joins.count()
	require.Zero(t, open, "nobody waits for what the disk does not give")
	require.Nil(t, joinedRowOf(t, store, 0))
	require.Equal(t, 4, joinedRowOf(t, store, 10).SpanCount)
	query := aroundNoon()
	x := tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{attributeIs(tracestore.ScopeSpan, "payload", "x")}}
	query.Where.Not = &tracestore.Conditions{Span: x} // which bodies are asked for
	page := mustSearch(t, store, query)
	require.Len(t, page.Traces, 10)
	require.True(t, page.Truncated, "it says that it has not looked at all")
	require.False(t, page.Total.Exact)
	require.NotZero(t, store.Stats().CorruptValues)

	disk.fails.Store(false)
	store.joins.retry()
	require.NoError(t, store.finishJoins(t.Context()))
	require.Equal(t, 4, joinedRowOf(t, store, 0).SpanCount)
	page = mustSearch(t, store, query)
	require.Len(t, page.Traces, 20)
	require.False(t, page.Truncated)
}

// TestReadErrorIsOfItsBlock, as it comes where the value lies with its key: Pebble gives it on as it is.
func TestReadErrorIsOfItsBlock(t *testing.T) {
	read := fmt.Errorf("read block 5: %w", &fs.PathError{Op: "read", Path: "000005.sst", Err: syscall.EIO})
	require.True(t, isRewritable(read))
	require.True(t, isUnreadable(read))
	require.False(t, isCorrupt(errors.Join(block.ErrCorrupt, read)), "it may be read later")
	for _, err := range []error{
		context.Canceled, tracestore.ErrClosed, syscall.ENOSPC, &fs.PathError{Op: "write", Path: "000006.log", Err: syscall.EIO},
	} {
		require.False(t, isUnreadable(err), err)
	}
}
