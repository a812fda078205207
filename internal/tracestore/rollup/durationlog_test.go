package rollup

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDurationLog: rows hold what they would if each duration were counted at once, however often the log is flushed.
func TestDurationLog(t *testing.T) {
	require.Less(t, maxIndex, uint32(1<<logBinBits))
	require.Less(t, MaxSeries, 1<<logPlaceBits)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		want, got := NewSums(MaxSeries), NewSums(MaxSeries)
		var log durationLog
		rows := 1 + rng.IntN(300)
		for range rng.IntN(8_000) {
			table := rng.IntN(len(loggedTables))
			k := key{colEnvironment: uint32(rng.IntN(rows)), operationService: 1}
			bin := binOf(max(1, rng.Int64N(math.MaxInt64)>>rng.IntN(63)))
			want.at(loggedTables[table], &k).durations.count(bin)
			place := int32(0)
			r := got.tables[loggedTables[table]].near(&k, &place)
			switch rng.IntN(1000) {
			case 0:
				log.flush(got)
			case 1:
				r.durations.count(bin) // as repairs do
				continue
			}
			log.add(table, int(place)-1, bin)
		}
		log.flush(got)
		require.Empty(t, log.entries)
		for _, table := range loggedTables {
			require.Equal(t, want.tables[table].keys, got.tables[table].keys)
			for i := range want.tables[table].rows {
				require.Equal(t, want.tables[table].rows[i].durations, got.tables[table].rows[i].durations)
			}
		}
	}
}
