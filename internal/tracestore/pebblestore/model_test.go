package pebblestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// restlessStore does after each write what upkeep may do then: any of it, to any blocks.
type restlessStore struct {
	*Store
	random *rand.Rand
}

func (s *restlessStore) WriteCall(ctx context.Context, td ptrace.Traces) error {
	if err := s.Store.WriteCall(ctx, td); err != nil {
		return err
	}
	switch s.random.IntN(6) {
	case 0:
		return s.writeSums()
	case 1:
		return s.foldRollups()
	case 2:
		return s.mergeBlocks()
	case 3:
		return s.db.Flush()
	case 4:
		return s.mergeSome()
	}
	return nil
}

// mergeSome merges blocks that follow one another.
func (s *restlessStore) mergeSome() error {
	days := s.partitions.all()
	at := days[s.random.IntN(len(days))].partition
	s.rewriteMu.Lock()
	defer s.rewriteMu.Unlock()
	blocks := s.partitions.blocksOf(at)
	n := 0
	for n < len(blocks) && blocks[n].sequence <= s.summed.Load() {
		n++
	}
	if n == 0 {
		return nil
	}
	from := s.random.IntN(n)
	return s.rewriteBlocks(at, blocks[from:from+1+s.random.IntN(n-from)], nil)
}

// TestModel holds the store against memstore: random writes, repetitions, fragments, deletions, questions and restarts, with the
// power lost at every second one, while upkeep is at work.
func TestModel(t *testing.T) {
	seed := uint64(0)
	storetest.RunModel(t, func(t *testing.T, settings storetest.Settings) (storetest.Store, func() storetest.Store) {
		seed++
		random := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewCrashableMem()
		open := func() *restlessStore {
			store, err := Open(Options{
				Path: "data", FS: fs, Retention: settings.Retention, Now: settings.Now,
				MaxSearchTime: time.Minute, catalogueTime: time.Minute, // on a busy machine too
			})
			require.NoError(t, err)
			return &restlessStore{store, random}
		}
		store := open()
		t.Cleanup(func() {
			require.Zero(t, store.Stats().CorruptValues, fmt.Sprint("seed ", seed))
			require.NoError(t, store.Close())
		})
		return store, func() storetest.Store {
			require.Zero(t, store.Stats().CorruptValues)
			if random.IntN(2) == 0 {
				require.NoError(t, store.Close())
			} else {
				after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(2) * 50, RNG: random})
				require.NoError(t, store.Close())
				fs = after
			}
			store = open()
			return store
		}
	}, 6, 60)
}
