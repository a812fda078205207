package traceassemblyprocessor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestManySpansOfOneID sends a trace in parts, and late spans of it, that have three ids, and compares what is found with a
// plain set.
func TestManySpansOfOneID(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				f := start(t, func(c *Config) {
					c.MaxTraceSpans = 1 + rng.IntN(500)
					c.MaxPartBytes = 5000
				})
				var (
					came                    = make(map[testSpan]bool)
					kinds                   = make(map[testSpan]bool)
					duplicates, conflicting int64
				)
				for range 30 {
					spans := make([]testSpan, 1+rng.IntN(60))
					for i := range spans {
						s := testSpan{trace: 1, id: 1 + rng.Uint64N(3), kind: ptrace.SpanKind(rng.IntN(3))}
						kind := s
						s.end = rng.Uint64N(200)
						spans[i] = s
						switch {
						case came[s]:
							duplicates++
						case kinds[kind]:
							conflicting++
						}
						came[s], kinds[kind] = true, true
					}
					f.send(spans...)
					if rng.IntN(4) == 0 {
						f.wait(3 * time.Second) // what comes next is late
					}
				}
				f.wait(time.Minute)
				require.Equal(t, duplicates, f.sum("spans_duplicate"))
				require.Equal(t, conflicting, f.sum("spans_conflicting"))
				require.EqualValues(t, len(came), f.sum("spans_released"))
				f.look(func(s *shard) { requireWeight(t, s.skeletons) })
				f.stop()
			})
		})
	}
}
