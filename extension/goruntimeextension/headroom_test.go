package goruntimeextension

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const mib = 1 << 20

func TestHeadroom(t *testing.T) {
	h := headroom{percent: 120, minPercent: 30, most: 256 * mib}
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 120},
		{1, 120},
		{99, 120},
		{4 * mib, 120},
		{200 * mib, 120},     // 240 MiB
		{256 * mib, 100},     // as much as is live: 256 MiB
		{512 * mib, 50},      // 256 MiB
		{640 * mib, 40},      // 256 MiB
		{840 * mib, 30},      // 252 MiB
		{5120 * mib, 30},     // 1,536 MiB: the least share
		{math.MaxUint64, 30}, // nothing overflows
	} {
		require.Equal(t, c.want, h.gcPercent(c.live), "%d bytes live", c.live)
	}
	require.Equal(t, 120, headroom{percent: 120, minPercent: 25}.gcPercent(100<<30), "no bound")
	require.Equal(t, 20, headroom{percent: 20, minPercent: 25, most: mib}.gcPercent(100<<30), "the least share is above the share")
}

// The share falls with what is live and what the heap may take grows, whatever the bounds.
func TestHeadroomIsMonotonic(t *testing.T) {
	for _, h := range []headroom{
		{120, 25, 320 * mib}, {120, 120, 320 * mib}, {100, 1, 1}, {400, 1, 1 << 40}, {1, 1, mib}, {120, 25, 0},
	} {
		share, goal := math.MaxInt, 0.0
		for live := uint64(100); live < 1<<42; live += 1 + live/7 {
			percent := h.gcPercent(live)
			require.LessOrEqual(t, percent, share, "%v, %d bytes live", h, live)
			require.LessOrEqual(t, percent, h.percent)
			require.GreaterOrEqual(t, percent, min(h.percent, h.minPercent))
			if percent > h.minPercent && h.most > 0 { // a percent is the step
				require.LessOrEqual(t, float64(percent)*float64(live/100), float64(h.most))
			}
			// A percentage has steps of a hundredth of what is live.
			require.GreaterOrEqual(t, float64(live)*(1+float64(percent+1)/100), goal, "%v, %d bytes live", h, live)
			share, goal = percent, float64(live)*(1+float64(percent)/100)
		}
	}
}

// A real heap: after a collection of much that is live the share is less, and it comes back with the next one after it is gone.
func TestShareFollowsTheHeap(t *testing.T) {
	unset(t, "GOGC", "GOMEMLIMIT")
	before := gcPercent()
	ext := start(t, &Config{GCPercent: 100, MaxHeadroomMiB: 16, MinGCPercent: 10})
	require.Equal(t, 100, gcPercent())
	held := make([]byte, 64*mib)
	require.Eventually(t, func() bool {
		runtime.GC()
		p := gcPercent()
		return p >= 15 && p <= 25 // 16 MiB of 64, and of what the test has besides
	}, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(held)
	require.Eventually(t, func() bool {
		runtime.GC()
		return gcPercent() > 50
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, ext.Shutdown(t.Context()))
	require.Equal(t, before, gcPercent())
	held = make([]byte, 64*mib)
	for range 5 { // nothing sets it any more
		runtime.GC()
		time.Sleep(time.Millisecond)
		require.Equal(t, before, gcPercent())
	}
	runtime.KeepAlive(held)
}
