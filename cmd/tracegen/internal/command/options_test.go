package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
)

// A run that sends its traces again and again has whole periods of bursts in them.
func TestBurstsGoOnFromCycleToCycle(t *testing.T) {
	for name, test := range map[string]struct {
		o    options
		pool int
	}{
		"default":       {options{rate: 1000, duration: time.Hour}, 40_000},
		"reuse":         {options{rate: 100, total: 9500, reuse: 4200}, 4000},
		"parts of one":  {options{rate: 0.125, total: 100, reuse: 12}, 10}, // 2.5 a period
		"sent once":     {options{rate: 10_000, total: 50_000}, 50_000},
		"does not fit":  {options{rate: 10_000, duration: time.Hour}, 0},
		"fits as asked": {options{rate: 10_000, duration: time.Hour, reuse: 250_000}, 200_000},
	} {
		t.Run(name, func(t *testing.T) {
			o := &test.o
			o.burst = schedule.Burst{Factor: 20, For: 2 * time.Second, Every: 20 * time.Second}
			require.Equal(t, test.pool, o.pool())
			if test.pool > 0 && o.count() > test.pool {
				period := time.Duration(float64(test.pool) / o.rate * float64(time.Second))
				require.Zero(t, period%o.burst.Every, "the next cycle begins where a burst does")
			}
		})
	}
}
