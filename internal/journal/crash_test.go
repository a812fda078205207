package journal

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// What Append answered under Always survives a loss of power at any moment, under the same position; removed segments stay
// removed; and what else is found was appended.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewCrashableMem()
		var mu sync.Mutex
		kept := map[Position][]byte{}
		given := map[string]bool{}
		removed := map[uint32]bool{}
		var held [4]uint32 // by writer: segments from here on may take a record of it that is not in kept yet
		for range 4 {      // crash upon crash
			l := open(t, fs, func(o *Options) { o.SegmentBytes = 50_000 })
			var writers sync.WaitGroup
			crash := make(chan struct{})
			for w := range uint64(4) {
				own := rand.New(rand.NewPCG(rng.Uint64(), w))
				writers.Go(func() {
					for {
						select {
						case <-crash:
							return
						default:
						}
						record := random(own.Uint64(), own.IntN(20_000))
						mu.Lock()
						given[string(record)] = true
						held[w] = l.Tail()
						mu.Unlock()
						p, err := l.Append(t.Context(), record)
						if err == nil {
							mu.Lock()
							if removed[p.Segment] || kept[p] != nil {
								t.Errorf("position %v came again", p)
							}
							kept[p] = record
							mu.Unlock()
						} else {
							t.Error(err)
						}
						_ = l.Write(t.Context(), []byte("mark"))
					}
				})
			}
			for range rng.IntN(20) {
				mu.Lock()
				all := l.Segments()
				done := slices.DeleteFunc(all, func(s SegmentInfo) bool { return s.Number >= slices.Min(held[:]) })
				mu.Unlock()
				if len(done) == 0 {
					runtime.Gosched()
					continue
				}
				number := done[rng.IntN(len(done))].Number
				if err := l.Remove(number); err != nil {
					t.Error(err)
				}
				mu.Lock()
				removed[number] = true
				mu.Unlock()
			}
			mu.Lock()
			acknowledged := map[Position][]byte{}
			for p, record := range kept {
				if !removed[p.Segment] {
					acknowledged[p] = record
				}
			}
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(100), RNG: rng})
			gone := map[uint32]bool{}
			for number := range removed {
				gone[number] = true
			}
			mu.Unlock()
			close(crash)
			writers.Wait()
			require.NoError(t, l.Close())

			fs = crashed
			l = open(t, fs, nil)
			found, _ := readAll(t, l)
			for p, record := range acknowledged {
				require.Equal(t, record, found[p], "seed %d: %v", seed, p)
			}
			for p, record := range found {
				require.False(t, gone[p.Segment], "segment %d came back", p.Segment)
				require.True(t, given[string(record)] || string(record) == "mark", "%v was never appended", p)
			}
			require.NoError(t, l.Close())
			// Records of this round that were answered after the copy was made are not in it; their positions may come again.
			kept = found
		}
	}
}
