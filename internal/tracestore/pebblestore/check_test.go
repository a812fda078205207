package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// closedStore is a folder with ten traces of two spans, one of them with a second release, and five more of the day before.
func closedStore(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	store, err := Open(Options{Path: path, Now: atNoon})
	require.NoError(t, err)
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 10, 2)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 3, 1, 1)))
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon.Add(-24*time.Hour), 100, 5, 3)))
	require.NoError(t, store.finishJoins(t.Context()))
	require.NoError(t, store.writeSums())
	require.NoError(t, store.Close())
	return path
}

func TestCheck(t *testing.T) {
	path := closedStore(t)
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	require.Positive(t, result.Rollups)
	result.Rollups = 0
	require.Equal(t, CheckResult{Format: formatVersion, Blocks: 3, Traces: 15, Releases: 16, Spans: 10*2 + 1 + 5*3}, result)

	stats, err := ReadStats(t.Context(), path)
	require.NoError(t, err)
	require.Positive(t, stats.DiskBytes)
	require.Len(t, stats.Partitions, 2)
	today := stats.Partitions[1]
	require.Equal(t, noon.Truncate(24*time.Hour), today.Day)
	require.Equal(t, []int64{2, 10, 11, 21}, []int64{today.Blocks, today.Traces, today.Releases, today.Spans})
	yesterday := stats.Partitions[0]
	require.Equal(t, []int64{1, 5, 5, 15}, []int64{yesterday.Blocks, yesterday.Traces, yesterday.Releases, yesterday.Spans})

	// It is a store as before.
	openStore(t, Options{Path: path, Now: atNoon})
	_, err = Check(t.Context(), path)
	require.ErrorIs(t, err, ErrInUse)
}

func dropKind(at partition, kind byte) func(t *testing.T, db *pebble.DB) {
	return func(t *testing.T, db *pebble.DB) {
		lower, upper := at.span(kind)
		require.NoError(t, db.DeleteRange(lower, upper, pebble.Sync))
	}
}

// TestCheckFindsFaults breaks one thing after the other.
func TestCheckFindsFaults(t *testing.T) {
	at := partition{tenantPrefix(""), dayOf(noon.UnixNano())}
	for name, test := range map[string]struct {
		damage func(t *testing.T, db *pebble.DB)
		want   string
	}{
		"a row is missing":     {dropKind(at, kindJoined), "its row is missing"},
		"heads are missing":    {dropKind(at, kindHead), "its head has 0"},
		"bodies are missing":   {dropKind(at, kindBody), "is missing"},
		"the index is missing": {dropKind(at, kindID), "0 of the"},
		"blocks are unknown":   {dropKind(at, kindBlock), "is missing"},
		"a body of nobody": {
			func(t *testing.T, db *pebble.DB) {
				require.NoError(t, db.Set(at.sequenceKey(kindBody, 1<<40), []byte("?"), pebble.Sync))
			},
			"corrupt",
		},
		"a place of nobody": {
			func(t *testing.T, db *pebble.DB) {
				require.NoError(t, db.Set(at.idKey(traceID(7), place{1 << 40, 1}), nil, pebble.Sync))
			},
			"the index names a release",
		},
		"garbage": {
			func(t *testing.T, db *pebble.DB) {
				require.NoError(t, db.Set(at.markKey(place{1, 1}), []byte("?"), pebble.Sync))
			},
			errValue.Error(),
		},
		"a foreign key": {
			func(t *testing.T, db *pebble.DB) {
				require.NoError(t, db.Set(at.key('?', 0), nil, pebble.Sync))
			},
			errKey.Error(),
		},
		"broken rollups": {
			func(t *testing.T, db *pebble.DB) {
				require.NoError(t, db.Set(at.rollupKey(1, 5), []byte("?"), pebble.Sync))
			},
			"rollup",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := closedStore(t)
			db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
			require.NoError(t, err)
			test.damage(t, db)
			require.NoError(t, db.Close())
			result, err := Check(t.Context(), path)
			require.NoError(t, err)
			require.NotZero(t, result.FaultCount)
			require.Contains(t, result.Faults[0].What, test.want)
		})
	}
}

// TestCheckBrokenTable flips a byte in the middle of every table.
func TestCheckBrokenTable(t *testing.T) {
	path := closedStore(t)
	tables, err := filepath.Glob(filepath.Join(path, "*.sst"))
	require.NoError(t, err)
	if len(tables) == 0 { // everything is in the log still
		db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
		require.NoError(t, err)
		require.NoError(t, db.Flush())
		require.NoError(t, db.Close())
		tables, err = filepath.Glob(filepath.Join(path, "*.sst"))
		require.NoError(t, err)
	}
	require.NotEmpty(t, tables)
	for _, table := range tables {
		content, err := os.ReadFile(table)
		require.NoError(t, err)
		content[len(content)/4] ^= 0x10
		require.NoError(t, os.WriteFile(table, content, 0o600))
	}
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	require.NotZero(t, result.FaultCount)
}

func TestCheckForeignFolders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	withKey := func(key, value []byte) string {
		path := t.TempDir()
		db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
		require.NoError(t, err)
		require.NoError(t, db.Set(key, value, pebble.Sync))
		require.NoError(t, db.Close())
		return path
	}
	empty := t.TempDir()
	for path, want := range map[string]error{
		filepath.Join(empty, "nowhere"): os.ErrNotExist,
		empty:                           ErrNotAStore,
		file:                            ErrNotAStore,
		withKey([]byte("key"), nil):     ErrNotAStore,
		withKey(formatKey(), binary.BigEndian.AppendUint32(nil, formatVersion+1)): ErrNewerFormat,
		withKey(formatKey(), binary.BigEndian.AppendUint32(nil, formatVersion-1)): ErrOlderFormat,
	} {
		_, err := Check(t.Context(), path)
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, path)
		_, err = ReadStats(t.Context(), path)
		require.ErrorIs(t, err, want)
	}
	left, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, left, "a folder that is not a store stays as it was")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Check(ctx, closedStore(t))
	require.ErrorIs(t, err, context.Canceled)
}

func TestBackup(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 10, 2)))
	dir := filepath.Join(t.TempDir(), "backup")
	bytes, err := store.Backup(t.Context(), dir)
	require.NoError(t, err)
	require.Positive(t, bytes)
	_, err = store.Backup(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrExist)
	// What came later is not in it.
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 50, 1, 2)))
	require.NoError(t, store.Delete(t.Context(), "", traceID(1)))
	result, err := Check(t.Context(), dir)
	require.NoError(t, err)
	require.Zero(t, result.FaultCount)
	copied := openStore(t, Options{Path: dir, Now: atNoon})
	require.Len(t, mustSearch(t, copied, aroundNoon()).Traces, 10)
	require.Len(t, mustSearch(t, store, aroundNoon()).Traces, 10)
}

// onRead is a context that ends with the first question after begin.
type onRead struct {
	context.Context
	begun atomic.Bool
}

func (c *onRead) Err() error {
	if c.begun.Load() {
		return context.Canceled
	}
	return nil
}

// TestCheckEndsWithItsContext: Pebble's check of its tables takes the most of the time, and knows no context.
func TestCheckEndsWithItsContext(t *testing.T) {
	ctx := &onRead{Context: t.Context()}
	f, err := openFolder(ctx, flushed(t, closedStore(t)))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.close()) }()
	ctx.begun.Store(true)
	require.ErrorIs(t, f.db.CheckLevels(nil), context.Canceled)
}

// flushed brings all that is in a store's log into a table.
func flushed(t *testing.T, path string) string {
	t.Helper()
	db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
	require.NoError(t, err)
	require.NoError(t, db.Flush())
	require.NoError(t, db.Close())
	return path
}

// TestCheckNamesWhoseTableIsBroken: the day whose table is broken is named, and everything else is checked still.
func TestCheckNamesWhoseTableIsBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	store, err := Open(Options{Path: path, Now: atNoon})
	require.NoError(t, err)
	yesterday, today := noon.Add(-24*time.Hour), noon
	require.NoError(t, store.WriteCall(t.Context(), newCall(yesterday, 0, 3000, 5)))
	require.NoError(t, store.db.Flush())
	before, err := filepath.Glob(filepath.Join(path, "*.sst"))
	require.NoError(t, err)
	require.NoError(t, store.WriteCall(t.Context(), newCall(today, 1000, 200, 5)))
	require.NoError(t, store.db.Flush())
	require.NoError(t, store.Close())
	require.NotEmpty(t, before)
	for _, table := range before {
		content, err := os.ReadFile(table)
		require.NoError(t, err)
		content[len(content)/4] ^= 0x10
		require.NoError(t, os.WriteFile(table, content, 0o600))
	}
	result, err := Check(t.Context(), path)
	require.NoError(t, err)
	days := map[time.Time]bool{}
	for _, f := range result.Faults {
		days[f.Day] = true
		require.NotContains(t, f.What, "of block", "what cannot be read is not held against the rest")
	}
	require.True(t, days[yesterday.Truncate(24*time.Hour)], "%v", result.Faults)
	require.False(t, days[today.Truncate(24*time.Hour)], "%v", result.Faults)
	require.EqualValues(t, 200*5, result.Spans, "today's")
}

// refusing is a file system that cannot lock.
type refusing struct {
	vfs.FS
	err error
}

func (fs refusing) Lock(string) (io.Closer, error) { return nil, fs.err }

// TestOpenFolderWithoutLock: a folder that cannot be locked is in use only if somebody holds the lock.
func TestOpenFolderWithoutLock(t *testing.T) {
	path := closedStore(t)
	for name, test := range map[string]struct{ err, want error }{
		"read-only disk":      {&os.PathError{Op: "open", Path: "LOCK", Err: syscall.EROFS}, nil},
		"full disk":           {&os.PathError{Op: "open", Path: "LOCK", Err: syscall.ENOSPC}, syscall.ENOSPC},
		"too many files":      {&os.PathError{Op: "open", Path: "LOCK", Err: syscall.EMFILE}, syscall.EMFILE},
		"other user's":        {&os.PathError{Op: "open", Path: "LOCK", Err: syscall.EACCES}, os.ErrPermission},
		"no locks":            {syscall.ENOLCK, syscall.ENOLCK},
		"held":                {syscall.EAGAIN, ErrInUse},
		"held, as POSIX says": {syscall.EACCES, ErrInUse},
		"held here":           {errors.New("lock held by current process"), ErrInUse},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := openFolderIn(readingFS{refusing{vfs.Default, test.err}, t.Context()}, path)
			require.ErrorIs(t, err, test.want)
			require.Equal(t, errors.Is(test.want, ErrInUse), errors.Is(err, ErrInUse))
			if err == nil {
				require.NoError(t, f.close())
			}
		})
	}
}

// TestCheckLeavesItsLock: who opened a lock file meanwhile would hold one that is gone, and the next one another.
func TestCheckLeavesItsLock(t *testing.T) {
	path := closedStore(t)
	lock := filepath.Join(path, "LOCK")
	require.NoError(t, os.Remove(lock))
	if os.Geteuid() == 0 { // only root has files of others
		require.NoError(t, os.Chown(path, 4711, 4712))
	}
	_, err := Check(t.Context(), path)
	require.NoError(t, err)
	folder, err := os.Stat(path)
	require.NoError(t, err)
	left, err := os.Stat(lock)
	require.NoError(t, err)
	want, got := folder.Sys().(*syscall.Stat_t), left.Sys().(*syscall.Stat_t)
	require.Equal(t, []uint32{want.Uid, want.Gid}, []uint32{got.Uid, got.Gid}, "who runs the store later may open it")
	_, err = Check(t.Context(), path)
	require.NoError(t, err)
	again, err := os.Stat(lock)
	require.NoError(t, err)
	require.True(t, os.SameFile(left, again))
}

// TestOpenFolderBehindReadOnlyMount: a store may be running behind a mount that is read-only, as another process, which is this test's own
// program. Where nothing was ever locked, nothing is needed.
func TestOpenFolderBehindReadOnlyMount(t *testing.T) {
	const variable = "PEBBLESTORE_TEST_READ_ONLY"
	mounted := readingFS{refusing{vfs.Default, &os.PathError{Op: "open", Path: "LOCK", Err: syscall.EROFS}}, t.Context()}
	if path := os.Getenv(variable); path != "" {
		_, err := openFolderIn(mounted, path)
		require.ErrorIs(t, err, ErrInUse)
		return
	}
	path := t.TempDir()
	store := openStore(t, Options{Path: path})
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	other.Env = append(os.Environ(), variable+"="+path)
	output, err := other.CombinedOutput()
	require.NoError(t, err, string(output))
	require.NoError(t, store.Close())

	f, err := openFolderIn(mounted, path)
	require.NoError(t, err)
	require.NoError(t, f.close())

	lock := filepath.Join(path, "LOCK")
	require.NoError(t, os.Remove(lock))
	require.NoError(t, os.Symlink("nowhere", lock)) // as if none could be made
	f, err = openFolderIn(mounted, path)
	require.NoError(t, err)
	require.NoError(t, f.close())
}

// failingReads is a context whose error is the disk's, after so many reads.
type failingReads struct {
	context.Context
	left atomic.Int64
}

func (c *failingReads) Err() error {
	if c.left.Add(-1) < 0 {
		return &os.PathError{Op: "read", Path: "table", Err: syscall.EIO}
	}
	return nil
}

// TestCheckEndsWithTheDisk fails after each number of reads: what cannot be read is no fault of the content.
func TestCheckEndsWithTheDisk(t *testing.T) {
	path := flushed(t, closedStore(t))
	for reads := int64(0); ; reads++ {
		ctx := &failingReads{Context: t.Context()}
		ctx.left.Store(1 << 40)
		f, err := openFolder(ctx, path)
		require.NoError(t, err)
		c := checker{folder: f, ctx: t.Context()}
		ctx.left.Store(reads)
		err = c.everything()
		require.NoError(t, f.close())
		require.Empty(t, c.result.Faults, "after %d reads", reads)
		if err == nil {
			require.Positive(t, reads)
			return
		}
		require.ErrorIs(t, err, syscall.EIO, "after %d reads", reads)
	}
}
