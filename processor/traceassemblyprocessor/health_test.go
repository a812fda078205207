package traceassemblyprocessor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// statusHost records what a component reports.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *statusHost) statuses() (statuses []componentstatus.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, event := range h.events {
		statuses = append(statuses, event.Status())
	}
	return statuses
}

// Refusals are no failure at once, nor while anything is taken; they end with the first request taken, or, without any to judge by, some
// time after there is room.
func TestIntakeHealth(t *testing.T) {
	full := errors.New("full")
	for name, test := range map[string]struct {
		refused, taken []int // seconds
		room           bool
		at             int
		failing        bool
	}{
		"nothing":              {at: 100},
		"a moment ago":         {refused: []int{0, 1, 2, 3, 4}, at: 4},
		"for a while":          {refused: []int{0, 1, 2, 3, 4, 5}, at: 5, failing: true},
		"once, with room":      {refused: []int{0}, room: true, at: 14, failing: true},
		"once, long ago":       {refused: []int{0}, room: true, at: 15},
		"once, and no room":    {refused: []int{0}, at: 1000, failing: true},
		"some are taken":       {refused: []int{0, 2, 4, 6, 8}, taken: []int{1, 3, 5, 7}, at: 9},
		"taken before":         {refused: []int{1, 6}, taken: []int{0}, at: 6, failing: true},
		"taken after all that": {refused: []int{0, 5, 10}, taken: []int{11}, at: 11},
	} {
		t.Run(name, func(t *testing.T) {
			var h intakeHealth
			for second := range 20 {
				now := time.Duration(second) * time.Second
				for _, at := range test.refused {
					if at == second {
						h.refused(now, full)
					}
				}
				for _, at := range test.taken {
					if at == second {
						h.taken()
					}
				}
			}
			err := h.failing(time.Duration(test.at)*time.Second, test.room)
			require.Equal(t, test.failing, err != nil)
			if test.failing {
				require.Equal(t, full, err)
			}
		})
	}
}

// TestStatusFollowsIntake: while the next consumer refuses and memory is full the processor fails; when it takes again the status comes
// back to OK by itself, although nobody sends.
func TestStatusFollowsIntake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		small(cfg)
		cfg.Linger, cfg.NumShards = 0, 1
		var refusing atomic.Bool
		refusing.Store(true)
		next := &sink{t: t, fail: func(int, ptrace.Traces) error {
			if refusing.Load() {
				return errors.New("busy")
			}
			return nil
		}}
		host := &statusHost{Host: componenttest.NewNopHost()}
		f := &fixture{t: t, sink: next, telemetry: componenttest.NewTelemetry()}
		f.assemblyProcessor = newTestProcessor(t, cfg, f.telemetry, next)
		require.NoError(t, f.Start(t.Context(), host))

		var refused error
		for n := uint64(1); refused == nil; n++ {
			refused = f.ConsumeTraces(t.Context(), request(testSpan{trace: n, id: 1, padding: 10_000}))
			f.wait(100 * time.Millisecond)
		}
		require.Empty(t, host.statuses())
		f.wait(time.Minute)
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.statuses())
		require.ErrorContains(t, host.events[0].Err(), "memory_limit_bytes")
		refusing.Store(false)
		f.wait(time.Minute)
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.statuses())
		f.send(testSpan{trace: 999, id: 1})
		f.stop()
		require.Len(t, host.statuses(), 2)
	})
}

// TestCallerGivesUp: a caller that goes away while its request is written says nothing of the journal, but a disk that keeps callers waiting
// until they go is no journal.
func TestCallerGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		after  time.Duration
		reason string
	}{
		"at once": {100 * time.Millisecond, "context"},
		"waiting": {5 * time.Second, "journal"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := startOn(t, slowToSync(8*time.Second), &sink{t: t}, withJournal)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), test.after)
				defer cancel()
				require.ErrorIs(t, f.ConsumeTraces(ctx, request(testSpan{trace: 1, id: 1})), context.DeadlineExceeded)
				require.Equal(t, map[string]int64{test.reason: 1}, f.points("requests_refused"))
				f.wait(6 * time.Second)
				require.Equal(t, test.reason == "journal", f.health.failing(f.now(), f.hasRoom()) != nil)
				f.wait(time.Minute)
				f.stop()
			})
		})
	}
}

// TestStatusWhileReplaying: until the journal is taken up requests are refused, which a second later is a status.
func TestStatusWhileReplaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &statusHost{Host: componenttest.NewNopHost()}
		p := &assemblyProcessor{gate: newGate(), budget: newBudget(1 << 20), epoch: time.Now()}
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.health.run(p, host)
		}()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.statuses())
		require.ErrorIs(t, host.events[0].Err(), errReplaying)
		p.gate.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.statuses())
		p.gate.close()
		<-done
		require.Len(t, host.statuses(), 2)
	})
}
