package shop

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Messages wait 2 to 30 s, besides the broker's milliseconds, and half of them less than √(2·30) = 7.75 s. All else is as
// before: what waits for an answer takes no longer.
func TestConsumerDelay(t *testing.T) {
	s := New(Options{Seed: 1, ConsumerDelay: Delays{2 * time.Second, 30 * time.Second}})
	var waits []time.Duration
	for i := range 1500 {
		v := s.Visit(i)
		for k := range v.Spans {
			span := &v.Spans[k]
			if span.Kind == Consumer {
				waits = append(waits, time.Duration(span.Start-v.Spans[span.Parent].End))
				require.LessOrEqual(t, span.End, v.End)
			} else if span.Parent >= 0 {
				require.LessOrEqual(t, span.End, v.Spans[span.Parent].End)
			}
		}
	}
	require.Greater(t, len(waits), 200)
	slices.Sort(waits)
	require.GreaterOrEqual(t, waits[0], 2*time.Second)
	require.LessOrEqual(t, waits[len(waits)-1], 31*time.Second)
	require.InDelta(t, 7.75, waits[len(waits)/2].Seconds(), 1.5)
}

func TestDelaysSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	require.Equal(t, int64(5*time.Second), (&Delays{5 * time.Second, 5 * time.Second}).sample(rng))
	below := 0
	for range 3000 {
		delay := (&Delays{0, time.Second}).sample(rng)
		require.GreaterOrEqual(t, delay, int64(time.Millisecond))
		require.LessOrEqual(t, delay, int64(time.Second))
		if delay < int64(100*time.Millisecond) {
			below++
		}
	}
	require.InDelta(t, 2.0/3, float64(below)/3000, 0.04, "two of three powers of ten")
}
