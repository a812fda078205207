package traceassemblyprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestExpectation says how long waiting pays after some observations. The edges of the buckets: 100, 150, 225, 337.5, 506.25, 759.375,
// 1139.0625ms, …
func TestExpectation(t *testing.T) {
	const longest = 10 * time.Second
	came := func(n int, after time.Duration) func(*expectation) {
		return func(e *expectation) {
			for range n {
				e.arrived(after)
			}
		}
	}
	missed := func(n int) func(*expectation) {
		return func(e *expectation) {
			for range n {
				e.missed()
			}
		}
	}
	late := func(after time.Duration) func(*expectation) {
		return func(e *expectation) { e.late(after, longest) }
	}
	alwaysLate := func(e *expectation) {
		for range 10_000 {
			e.late(time.Second, longest)
		}
	}
	edge := 1139062500 * time.Nanosecond
	tests := map[string]struct {
		observed []func(*expectation)
		want     time.Duration
	}{
		"nothing yet":           {nil, unknown},
		"too little":            {[]func(*expectation){missed(7)}, unknown},
		"never comes":           {[]func(*expectation){missed(8)}, 0},
		"always comes":          {[]func(*expectation){came(100, time.Second)}, forever},
		"comes half the times":  {[]func(*expectation){came(50, time.Second), missed(50)}, edge},
		"comes seldom":          {[]func(*expectation){came(3, time.Second), missed(97)}, edge},
		"hardly ever comes":     {[]func(*expectation){came(1, time.Second), missed(120)}, 0},
		"comes at once or not":  {[]func(*expectation){came(50, 0), missed(50)}, 100 * time.Millisecond},
		"beyond all buckets":    {[]func(*expectation){came(50, time.Minute), missed(50)}, forever},
		"was missed once":       {[]func(*expectation){came(200, time.Second), missed(1)}, forever},
		"comes late":            {[]func(*expectation){missed(200), late(700 * time.Millisecond)}, edge}, // a bucket more than seen
		"comes late, forgotten": {[]func(*expectation){missed(200), late(700 * time.Millisecond), missed(100)}, 0},
		"always comes late":     {[]func(*expectation){missed(200), alwaysLate}, forever},
		"was late, is never":    {[]func(*expectation){missed(200), alwaysLate, missed(3000)}, 0},
		"comes too late":        {[]func(*expectation){missed(200), late(11 * time.Second)}, 0},
		"first one, late":       {[]func(*expectation){missed(8), late(time.Second), missed(1)}, 1708593750 * time.Nanosecond},
		"changes to never":      {[]func(*expectation){came(1000, time.Second), missed(2000)}, 0},
		"changes to always":     {[]func(*expectation){missed(1000), came(2000, time.Second)}, forever},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var e expectation
			for _, observe := range test.observed {
				observe(&e)
			}
			e.settle()
			require.Equal(t, test.want, e.waits())
			require.LessOrEqual(t, e.total, float32(expectationMemory))
		})
	}
}

// TestLearnedOperationsAreBounded floods a table with names. What is used much stays.
func TestLearnedOperationsAreBounded(t *testing.T) {
	table := newSymbols[operation]()
	l := newLearnedOperations(100, 10*time.Second, table)
	used := table.ref(operation{"shop", "checkout"})
	for range 100 {
		l.make(used).ok.missed()
	}
	for i := range 10_000 {
		n := table.ref(operation{"shop", fmt.Sprint(i)})
		l.make(n).ok.missed()
		require.NotNil(t, l.of(n))
		require.LessOrEqual(t, len(l.byName), 100)
	}
	require.NotNil(t, l.of(used))
	pointing := 0
	for i := range table.table {
		if o := table.table[i].learned; o != nil {
			require.Same(t, l.byName[table.table[i].name], o)
			pointing++
		}
	}
	require.Equal(t, 100, pointing, "no symbol points to what was evicted")

	table.unref(used)
	again := table.ref(operation{"shop", "checkout"})
	require.NotNil(t, l.of(again), "learned for as long as the table knows it, whether spans are held or not")
}
