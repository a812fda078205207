package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// formatVersion is the version of docs/storage-format.md that this package reads and writes.
const formatVersion = 2

// Limits of one search, where Options names none.
const (
	DefaultMaxSearchTraces = 100_000
	DefaultMaxSearchTime   = 2 * time.Second
)

// FS is the file system of a store, named here so that users need not import where it comes from.
type FS = vfs.FS

// Options say how a store is opened.
type Options struct {
	// Path is the store's folder; it is made where it does not exist.
	Path string
	// Retention is how long traces are kept at least, counted from their release; a partition is dropped when the whole of
	// its day is older. 0 keeps them for ever.
	Retention time.Duration
	// KeepAll, where above 0, is how long all traces are kept; those whose whole day is older are thinned (Keep).
	KeepAll time.Duration
	// Keep says which traces are kept behind KeepAll, until Retention.
	Keep Keep
	// MaxBytes, where above 0, bounds the size of the folder, about: the oldest traces are dropped.
	MaxBytes int64
	// MaxSearchTraces is the number of traces that one search looks at, by default DefaultMaxSearchTraces. Those of which a block tells that they do not match are
	// not counted.
	MaxSearchTraces int
	// MaxSearchTime is how long one search looks, by default DefaultMaxSearchTime.
	MaxSearchTime time.Duration
	// catalogueTime is how long catalogues look, by default maxCatalogueTime. Tests that compare all of an answer give them more.
	catalogueTime time.Duration
	// Contrast are the attributes by which traces are contrasted (tracestore.ContrastAggregate), by default
	// tracestore.DefaultContrastAttributes.
	Contrast *tracestore.ContrastAttributes
	// Logger is told of changes of state; nil is silent.
	Logger *zap.Logger
	// OnHealth is called when writing begins to fail (with the reason), and with nil when it works again. A reason that is
	// ErrFailed (errors.Is) comes last. It must not block. nil is allowed.
	OnHealth func(error)
	// Now is the clock, by default time.Now.
	Now func() time.Time
	// FS is the file system, by default the operating system's. Tests cut the power of one that is in memory.
	FS FS
}

// Keep says which traces are worth keeping. Those with a span that failed always are. Rollups count every trace all the same.
type Keep struct {
	// Slowest is which share of each entry's traces counts as slow, by the durations of their day: 0.05 keeps those above the 95th
	// percentile.
	Slowest float64
	// Share is how much of the rest is kept. It goes by the trace id.
	Share float64
}

// Store is an opened folder of traces. It implements tracestore.Backend.
type Store struct {
	rollup.Reader                // answers aggregates; it is answer
	tracestore.SourceReportTable // one process uses the folder at a time

	tails tracestore.Tails

	options    Options
	contrast   rollup.Contrast
	db         *pebble.DB
	lockFile   *pebble.Lock
	opened     time.Time // by the monotonic clock
	disk       *diskState
	partitions *partitions
	encoders   blockEncoders
	openSums   *openSums
	unfolded   *unfolded
	joins      *openJoins
	counters   counters

	backupMu sync.Mutex // one backup at a time: of two to one folder the second would remove what the first has written
	upkeepMu sync.Mutex // held while partitions are dropped or rollups folded: one must not undo the other
	// joining is held, by a value in it, while rows of several releases are made.
	joining chan struct{}

	// writer is held, by a value in it, while a batch is made and handed to Pebble. It is a channel so that waiting for it
	// ends with the caller's context.
	writer chan struct{}
	// sequence numbers blocks; the rollups of those up to summed are written down. They change with writer held.
	sequence uint64
	callDays callDays
	summed   atomic.Uint64

	reclaims  reclaims
	rewriteMu sync.Mutex // held while blocks are rewritten
	// mergedOn is the day of the last merging. Guarded by rewriteMu.
	mergedOn uint32

	// failure is set once when writing is over until the process starts again.
	failure atomic.Pointer[error]
	// lowSpace says that the disk is nearly full, so that calls are refused: see freespace.go.
	lowSpace atomic.Pointer[error]
	// wedged says that Pebble cannot be closed any more, because a commit ended in the middle.
	wedged atomic.Bool

	pendingMu sync.Mutex                    // guards pending
	pending   map[tracetree.CallID]*pending // calls handed to Pebble and not durable yet

	inUseMu sync.Mutex // guards closed, and adding to inUse
	closed  bool
	inUse   sync.WaitGroup // calls of methods

	ctx    context.Context // ends when the store closes
	cancel context.CancelFunc
	upkeep sync.WaitGroup // the goroutines of the store itself
}

var _ tracestore.Backend = (*Store)(nil)

// Open opens the folder, or makes it. Close releases it.
func Open(options Options) (*Store, error) {
	options = withDefaults(options)
	s := &Store{
		options: options, opened: time.Now(), writer: make(chan struct{}, 1), joining: make(chan struct{}, 1), pending: make(map[tracetree.CallID]*pending),
		encoders: newBlockEncoders(), openSums: newOpenSums(), joins: newOpenJoins(),
	}
	s.Reader = s.answer
	s.contrast = rollup.Contrast{Attributes: *options.Contrast, Usual: rollup.NewUsual(s.Reader)}
	s.disk = newDiskState(s.diskChanged, s.fail)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.cancel()
		return nil, err
	}
	s.upkeep.Go(s.keepUp)
	s.upkeep.Go(s.join)
	s.upkeep.Go(s.keepMerged)
	s.checkSpace()
	s.upkeep.Go(s.watchSpace)
	return s, nil
}

func withDefaults(options Options) Options {
	if options.Contrast == nil {
		options.Contrast = new(tracestore.DefaultContrastAttributes())
	}
	if options.MaxSearchTraces <= 0 {
		options.MaxSearchTraces = DefaultMaxSearchTraces
	}
	if options.catalogueTime == 0 {
		options.catalogueTime = maxCatalogueTime
	}
	if options.MaxSearchTime <= 0 {
		options.MaxSearchTime = DefaultMaxSearchTime
	}
	if options.Logger == nil {
		options.Logger = zap.NewNop()
	}
	if options.OnHealth == nil {
		options.OnHealth = func(error) {}
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.FS == nil {
		options.FS = vfs.Default
	}
	return options
}

func (s *Store) open() (err error) {
	path, fs := s.options.Path, s.options.FS
	if info, err := fs.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("%q is a file, not a folder; name a folder", path)
	}
	if err := fs.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make folder %q: %w; name one that may be written", path, err)
	}
	s.lockFile, err = pebble.LockDirectory(path, fs)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("folder %q may not be written: %w; change its rights or name another folder", path, err)
	}
	if err != nil {
		return fmt.Errorf("folder %q is in use by another process (%w); stop that one or name another folder", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lockFile.Close())
		}
	}()
	if err := probe(fs, path); err != nil {
		return fmt.Errorf("folder %q takes no data: %w; make space or name another folder", path, err)
	}
	s.db, err = pebble.Open(path, s.pebbleOptions())
	if err != nil {
		return fmt.Errorf("open folder %q: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if err := s.checkFormat(); err != nil {
		return err
	}
	s.partitions, s.sequence, err = loadPartitions(s.db, s.corruptBlock)
	if err != nil {
		return fmt.Errorf("read folder %q: %w", path, err)
	}
	s.boundFilters()
	for _, load := range []func() error{s.loadCallDays, s.loadDeltas, s.loadSums, s.loadJoins} {
		if err := load(); err != nil {
			return fmt.Errorf("read folder %q: %w", path, err)
		}
	}
	s.keepFiltersLocked()
	return nil
}

// probe writes a file into the folder and removes it again. Pebble would wait for space, and tell nobody.
func probe(fs vfs.FS, path string) error {
	const size = 1 << 20
	name := fs.PathJoin(path, "probe.tmp")
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, size))
	return cmp.Or(err, file.Close(), fs.Remove(name)) // the first tells why
}

// separatedBytes is from which size on a value lies apart from its key: the body of a block that is not to be merged any more.
const separatedBytes = 128 << 10

// tableCompression is for keys and small values, rollups above all; blocks are compressed.
var tableCompression = func() *sstable.CompressionProfile {
	profile := *sstable.SnappyCompression
	profile.Name = "tables"
	profile.ValueBlocks, profile.OtherBlocks = sstable.NoCompression.ValueBlocks, sstable.SnappyCompression.OtherBlocks
	return &profile
}()

func (s *Store) pebbleOptions() *pebble.Options {
	options := &pebble.Options{
		FS:                          &patientFS{FS: s.options.FS, folder: s.options.Path, disk: s.disk},
		Lock:                        s.lockFile,
		Logger:                      &pebbleLogger{logger: s.options.Logger, fail: s.fail},
		EventListener:               eventListener(s.options.Logger),
		FormatMajorVersion:          pebble.FormatValueSeparation,
		Cleaner:                     cleaner{},
		CacheSize:                   56 << 20,
		MemTableSize:                8 << 20,
		MemTableStopWritesThreshold: 4,
		// Each flush brings ids of traces that fall anywhere among those of their day, so that each compaction out of L0 writes all of the level
		// below it again. It begins at half of the threshold: of eight flushes instead of two it is a quarter as many. A look-up by id seeks in each.
		L0CompactionThreshold:      16,
		L0StopWritesThreshold:      100,
		LBaseMaxBytes:              64 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		// A dropped partition's space comes back soon, not with the next full memtable.
		FlushDelayDeleteRange: 10 * time.Second,
	}
	// Bodies, nearly all of the bytes, are written twice: to the log, and to a blob file when a memtable is flushed.
	// Compactions move their keys alone. Those of small blocks, which are merged soon, stay with their keys.
	options.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: separatedBytes, MaxBlobReferenceDepth: 10, RewriteMinimumAge: time.Minute, TargetGarbageRatio: 0.15,
		}
	}
	for i := range options.Levels {
		level := &options.Levels[i]
		level.BlockSize = 32 << 10
		level.IndexBlockSize = 256 << 10
		level.Compression = func() *sstable.CompressionProfile { return tableCompression }
	}
	return options
}

// checkFormat reads the format version, or writes it into an empty database.
func (s *Store) checkFormat() error {
	version, found, err := storedFormat(s.db)
	if err != nil {
		return fmt.Errorf("read the storage format of %q: %w", s.options.Path, err)
	}
	if !found {
		return s.initFormat()
	}
	if version == 0 {
		return fmt.Errorf("folder %q does not hold a trace store; name another folder", s.options.Path)
	}
	if version < formatVersion {
		return fmt.Errorf("folder %q has storage format %d, which this version of tracewright does not read any more (it reads %d); name another folder",
			s.options.Path, version, formatVersion)
	}
	if version > formatVersion {
		return fmt.Errorf("folder %q has storage format %d, this version of tracewright reads up to %d; run a newer one or name another folder",
			s.options.Path, version, formatVersion)
	}
	return nil
}

func (s *Store) initFormat() error {
	iter, err := s.db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("read folder %q: %w", s.options.Path, err)
	}
	empty := !iter.First()
	if err := iter.Close(); err != nil {
		return fmt.Errorf("read folder %q: %w", s.options.Path, err)
	}
	if !empty {
		return fmt.Errorf("folder %q holds a database that is not a trace store; name another folder", s.options.Path)
	}
	if err := s.db.Set(formatKey(), binary.BigEndian.AppendUint32(nil, formatVersion), pebble.Sync); err != nil {
		return fmt.Errorf("write the storage format into %q: %w", s.options.Path, err)
	}
	return nil
}

// enter holds the store open until leave. The error is tracestore.ErrClosed.
func (s *Store) enter() error {
	s.inUseMu.Lock()
	defer s.inUseMu.Unlock()
	if s.closed {
		return tracestore.ErrClosed
	}
	s.inUse.Add(1)
	return nil
}

func (s *Store) leave() { s.inUse.Done() }

// Close waits for the methods that run, searches excepted, which end early, and closes the folder. A second call does nothing.
func (s *Store) Close() error {
	s.inUseMu.Lock()
	closed := s.closed
	s.closed = true
	s.inUseMu.Unlock()
	if closed {
		return nil
	}
	s.cancel()
	s.tails.Close()
	s.disk.release()
	s.inUse.Wait()
	s.upkeep.Wait() // after the methods, which start some of it
	var err error
	if s.writable() == nil {
		err = s.writeSumsLocked() // nobody else is left; what is not written down is read again at the next opening
		if err == nil {
			s.keepFiltersLocked()
		}
	}
	if s.wedged.Load() { // by that, or before
		// Its commit pipeline is locked for ever. Everything acknowledged is in the log.
		return fmt.Errorf("close folder %q: a write ended in the middle; the folder stays locked until the process ends",
			s.options.Path)
	}
	if err := errors.Join(err, s.db.Close(), s.lockFile.Close()); err != nil {
		return fmt.Errorf("close folder %q: %w", s.options.Path, err)
	}
	return nil
}

// ErrFailed says that a store writes no more until it is opened anew.
var ErrFailed = errors.New("the trace store stopped writing")

// fail ends writing until the process starts again: an fsync failed, or Pebble says that it cannot go on. What was
// acknowledged is on the disk, and what is stored can still be read.
func (s *Store) fail(err error) {
	err = fmt.Errorf("%w: %s, after %w; see to the disk and restart", ErrFailed, filepath.Clean(s.options.Path), err)
	if s.failure.CompareAndSwap(nil, &err) && s.ctx.Err() == nil { // closing lets held writes fail
		s.options.Logger.Error("writing to the trace store failed for good", zap.Error(err))
		s.options.OnHealth(err)
	}
}

// diskChanged tells of writes that the disk refuses for now.
func (s *Store) diskChanged(err error) {
	if s.failure.Load() != nil || s.ctx.Err() != nil {
		return
	}
	if err == nil {
		s.options.Logger.Info("the disk of the trace store takes writes again")
		if s.lowSpace.Load() == nil {
			s.options.OnHealth(nil)
		}
		return
	}
	s.options.Logger.Error("the disk of the trace store refuses writes; trying again until it takes them", zap.Error(err))
	s.options.OnHealth(fmt.Errorf("%s: %w", s.options.Path, err))
}
