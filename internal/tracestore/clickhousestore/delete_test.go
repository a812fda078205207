package clickhousestore

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// visitID is the id of a trace of visits.
func visitID(n int) pcommon.TraceID { return pcommon.TraceID{14: byte(n >> 8), 15: byte(n)} }

// TestRepeatedAfterDeletion: a call that is repeated after traces of it were deleted brings none of them back and counts nothing again, whichever they
// were, and completes what an insert that was cut had left out of the others.
func TestRepeatedAfterDeletion(t *testing.T) {
	options := testOptions(t)
	testRepeatedAfterDeletion(t, openStore(t, options), newWriter(t, options))
}

// TestMigrateDeletions: a schema from before deletions were noted becomes one in which they are.
func TestMigrateDeletions(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	migrations, err := store.schema.migrations()
	require.NoError(t, err)
	for _, view := range []string{"otel_traces_repeated_rows", "otel_traces_missing_rows", "traces_view_again", "trace_times_view_again"} {
		query, err := store.schema.viewQuery(migrations, view)
		require.NoError(t, err)
		older := regexp.MustCompile("\n.*deleted_inserts.*").ReplaceAllString(query, "")
		require.NotEqual(t, query, older)
		require.NoError(t, store.db.Exec(t.Context(), "ALTER TABLE "+store.table(view)+" MODIFY QUERY "+older))
	}
	require.NoError(t, store.db.Exec(t.Context(), "DROP TABLE "+store.table("deleted_inserts")))
	require.NoError(t, store.db.Exec(t.Context(), "ALTER TABLE "+store.table(migrationsTable)+" DELETE WHERE Number > 7 SETTINGS mutations_sync = 1"))
	w := newWriter(t, options)
	now := time.Now()
	for range 2 { // in the older one
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 1)))
	}
	testRepeatedAfterDeletion(t, openStore(t, options), w)
}

func testRepeatedAfterDeletion(t *testing.T, store *Store, w writer) {
	const traces = 4
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -10)
	for _, test := range []struct {
		name    string
		deleted []int
		cut     []string // tables that the first insert did not come to
	}{
		{"the first trace", []int{0}, nil},
		{"another one", []int{2}, nil},
		{"all but one", []int{1, 2, 3}, nil},
		{"all", []int{0, 1, 2, 3}, nil},
		{"one of a call that was cut", []int{1}, []string{"traces", "rollup_operations"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			day = day.AddDate(0, 0, 1)
			call := func() ptrace.Traces { return visits(day, 0, traces) }
			require.NoError(t, w.WriteCall(t.Context(), call()))
			want := contents(t, store, day)
			for _, table := range test.cut {
				dropNewest(t, store, table, day, 1)
			}
			for _, n := range test.deleted {
				require.NoError(t, store.Delete(t.Context(), "", visitID(n)))
			}
			left := int64(traces - len(test.deleted))
			for _, what := range []string{"stored spans", "trace times", "traces"} {
				want[what] = left
			}
			if slices.Contains(test.cut, "rollup_operations") { // what was not counted before the deletion is not counted behind it
				want["operation GET /"], want["spans"] = left, left
			}
			for range 2 {
				require.NoError(t, w.WriteCall(t.Context(), call()))
				require.Equal(t, want, contents(t, store, day))
			}
			for n := range traces { // for the next day, in which the same traces are released
				if !slices.Contains(test.deleted, n) {
					require.NoError(t, store.Delete(t.Context(), "", visitID(n)))
				}
			}
		})
	}
}

// TestDeleteOfManyDays: a trace is deleted that was released on more days than a server lets an insert write partitions.
func TestDeleteOfManyDays(t *testing.T) {
	options := testOptions(t)
	options.upTo = 2
	w := newWriter(t, options)
	options.Endpoint += "?max_partitions_per_insert_block=2" // in place of 100, for the time that it takes
	store := openStore(t, options)
	const days = 4
	now := time.Now()
	for day := range days {
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(now.AddDate(0, 0, -day), 1)))
	}
	require.NoError(t, store.Delete(t.Context(), "", visitID(1)))
	for _, table := range []string{"otel_traces", "traces", "trace_times"} {
		require.Zero(t, count(t, store, store.table(table)), table)
	}
	require.EqualValues(t, len(ofTraces)*days, count(t, store, store.table("deleted_inserts")))
}
