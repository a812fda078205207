package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// Three times the traffic for 2 s of every 4 s: 3·2 of 3·2 + 1·2 parts, three quarters of the visits, begin in the first 2 s.
func TestBurstStart(t *testing.T) {
	b := Burst{Factor: 3, For: 2 * time.Second, Every: 4 * time.Second}
	for steady, want := range map[time.Duration]time.Duration{
		0:                        0,
		1500 * time.Millisecond:  time.Second,     // half of the burst's three quarters
		3 * time.Second:          2 * time.Second, // all of them
		3500 * time.Millisecond:  3 * time.Second, // and half of the last quarter
		4 * time.Second:          4 * time.Second,
		13500 * time.Millisecond: 13 * time.Second,
	} {
		require.InDelta(t, int64(want), b.start(float64(steady)), 1, "%s", steady)
	}
	require.Equal(t, int64(1234), new(Burst).start(1234))
}

// 20 times the traffic in 2 of 20 s is 40 of 58 parts. The mean stays the rate.
func TestBurst(t *testing.T) {
	s := shop.New(shop.Options{Seed: 1})
	o := &Options{Seed: 1, Rate: 50, Burst: Burst{Factor: 20, For: 2 * time.Second, Every: 20 * time.Second}}
	inBurst, previous := 0, int64(0)
	for i := range 2000 { // 40 s
		start := o.Start(s.Visit(i), 0, 2000)
		require.GreaterOrEqual(t, start, previous)
		require.Less(t, start, int64(40*time.Second))
		if time.Duration(start)%(20*time.Second) < 2*time.Second {
			inBurst++
		}
		previous = start
	}
	require.InDelta(t, 40.0/58, float64(inBurst)/2000, 0.01)
}

// Requests leave at the tick after the end of their spans, up to 200 ms late for it; those of inventory 3 s later.
func TestBehindAndJitter(t *testing.T) {
	inventory, delay, err := ParseBehind("inventory:3s")
	require.NoError(t, err)
	s := shop.New(shop.Options{Seed: 1})
	o := &Options{
		Seed: 1, Rate: 50, BatchDelay: time.Second, Jitter: 0.2, Behind: map[int]time.Duration{inventory: delay},
	}
	plan := Build(s, o, 0, 600)
	sent := sendings(t, plan)
	var longest [2]time.Duration
	for i := range 600 {
		v := s.Visit(i)
		for k := range v.Spans {
			times := sent[v.Spans[k].ID]
			require.Len(t, times, 1)
			wait := times[0].delay - time.Duration(times[0].end)
			of := 0
			if times[0].service == "inventory" {
				of, wait = 1, wait-3*time.Second
			}
			require.GreaterOrEqual(t, wait, time.Duration(0))
			require.LessOrEqual(t, wait, 1200*time.Millisecond)
			longest[of] = max(longest[of], wait)
		}
	}
	require.Greater(t, longest[0], 1150*time.Millisecond, "no request is late for its tick")
	require.Greater(t, longest[1], 1100*time.Millisecond, "inventory's ticks are not exact either")
}

// Without a rate all others leave at once.
func TestBehindWithoutRate(t *testing.T) {
	s := shop.New(shop.Options{Seed: 1})
	plan := Build(s, &Options{Window: time.Minute, Behind: map[int]time.Duration{3: time.Second}}, 0, 100)
	sent := sendings(t, plan)
	for i := range 100 {
		v := s.Visit(i)
		for k := range v.Spans {
			want := time.Duration(0)
			if v.Spans[k].Service == 3 {
				want = time.Second
			}
			require.Equal(t, want, sent[v.Spans[k].ID][0].delay)
		}
	}
}

func TestParsePatterns(t *testing.T) {
	for text, want := range map[string]Burst{
		"20x/2s/20s":    {20, 2 * time.Second, 20 * time.Second},
		"1.5/100ms/1s":  {1.5, 100 * time.Millisecond, time.Second},
		"1000x/1s/1h0s": {1000, time.Second, time.Hour},
	} {
		got, err := ParseBurst(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "20x", "20x/2s", "20x/2s/20s/1", "x/2s/20s", "NaN/2s/20s", "0.5x/2s/20s", "1001x/2s/20s", "20x/0s/20s", "20x/20s/20s", "20x/-1s/20s", "20x/2s/x",
	} {
		_, err := ParseBurst(text)
		require.ErrorContains(t, err, "write it as 20x/2s/20s", text)
	}
	for text, want := range map[string]string{
		"":               "no service",
		"nobody:3s":      "there are account, ads, auth",
		"inventory":      "is no positive delay",
		"inventory:0s":   "is no positive delay",
		"inventory:-3s":  "is no positive delay",
		"inventory:soon": "is no positive delay",
	} {
		_, _, err := ParseBehind(text)
		require.ErrorContains(t, err, want, text)
	}
}
