package clickhousestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestManyTimes: sets of times are taken over HTTP, which bounds a value and an address, however many they are; also for a deletion.
func TestManyTimes(t *testing.T) {
	options := testOptions(t)
	options.upTo = 2
	store, w := openStore(t, options), newWriter(t, options)
	options.Endpoint = endpoints(t, store)["http"]
	over := openStore(t, options)
	var quarters []time.Time
	for i := range 40_000 { // 416 days
		quarters = append(quarters, quarterOf(time.Now()).Add(-time.Duration(i)*15*time.Minute))
	}
	values := parameters{}
	var n uint64
	text := "SELECT length(" + values.seconds(quarters) + ")"
	rows, err := over.query(t.Context(), text, values)
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(&n))
	require.NoError(t, rows.Close())
	require.EqualValues(t, len(quarters), n)

	id := visitID(1)
	require.NoError(t, w.WriteCall(t.Context(), manyReleases(time.Now(), id, 7000, 1)))
	require.NoError(t, over.Delete(t.Context(), "", id))
	for _, table := range []string{"otel_traces", "traces", "trace_times"} {
		require.Zero(t, count(t, store, store.table(table)), table)
	}
}
