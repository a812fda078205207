package traceassemblyprocessor

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// slowToSync is a disk that takes so long for each sync.
func slowToSync(takes time.Duration) vfs.FS {
	return errorfs.Wrap(vfs.NewCrashableMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			time.Sleep(takes)
		}
		return nil
	}))
}

// TestSlowSync has a disk that takes longer for a sync than a complete trace waits for more. Services send their spans of one trace at
// once, and are answered at once: it is not cut between them.
func TestSlowSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startOn(t, slowToSync(2*time.Second), &sink{t: t}, withJournal)
		synctest.Wait()
		var senders sync.WaitGroup
		senders.Go(func() { f.send(testSpan{trace: 2, id: 1}) })
		synctest.Wait() // now the disk is busy
		for i := range uint64(10) {
			senders.Go(func() { f.send(testSpan{trace: 1, id: 1 + i}) }) // whatever comes first is complete
		}
		senders.Wait()
		f.wait(time.Minute)
		require.Len(t, f.sink.of(1), 1)
		require.Equal(t, conventions.OutcomeComplete, f.sink.of(1)[0].Outcome)
		f.stop()
	})
}

// TestReplayWaitsForRoom starts while the next consumer is down and the calls to repeat take all memory. The open trace behind them in the
// journal waits for room longer than traces wait for spans, and comes whole all the same.
func TestReplayWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		down := func(int, ptrace.Traces) error { return errors.New("down") }
		f := startOn(t, fs, &sink{t: t, fail: down}, withJournal)
		synctest.Wait()
		for n := range uint64(10) {
			f.send(testSpan{trace: 100 + n, id: 1, padding: 100_000})
		}
		f.wait(5 * time.Second)
		for i := range uint64(10) {
			f.send(testSpan{trace: 1, id: 1 + i, parent: i})
		}
		fs = f.crash(fs)

		f = startOn(t, fs, &sink{t: t, fail: down}, func(c *Config) {
			withJournal(c)
			small(c)
		})
		f.wait(10 * time.Second)
		require.True(t, f.budget.full())
		f.sink.mu.Lock()
		f.sink.fail = nil
		f.sink.mu.Unlock()
		f.wait(time.Minute)
		require.Len(t, f.sink.releases, 11)
		require.Len(t, f.sink.of(1), 1)
		f.stop()
	})
}
