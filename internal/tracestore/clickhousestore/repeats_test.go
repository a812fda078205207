package clickhousestore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// storedTables are those that an insert commits parts in, the first of them first.
var storedTables = []string{
	"otel_traces", "trace_times", "traces", "trace_quarters", "rollup_operations", "rollup_edges", "rollup_entry_operations", "rollup_contexts", "rollup_entries",
	"attribute_catalogue",
}

// contents are what a day's partitions of all tables hold.
func contents(t *testing.T, store *Store, day time.Time) map[string]int64 {
	t.Helper()
	got := sums(t, store, day)
	for name, sql := range map[string]string{
		"stored spans": "SELECT toInt64(count()) FROM " + store.table("otel_traces") + " WHERE toDate(ReleasedAt) = ?",
		"trace times":  "SELECT toInt64(count()) FROM " + store.table("trace_times") + " WHERE toDate(ReleasedAt) = ?",
		"traces":       "SELECT toInt64(sum(Spans)) FROM " + store.table("traces") + " WHERE toDate(Quarter) = ?",
	} {
		var n int64
		require.NoError(t, store.db.QueryRow(t.Context(), sql, day.Format(time.DateOnly)).Scan(&n))
		got[name] = n
	}
	return got
}

// dropNewest takes away what the last insert left in a table's partition, as if it had not come so far. A table may have parts of several views.
func dropNewest(t *testing.T, store *Store, table string, day time.Time, parts int) {
	t.Helper()
	rows, err := store.db.Query(t.Context(), "SELECT name FROM system.parts WHERE active AND database = ? AND table = ? AND partition = ?"+
		" ORDER BY max_block_number DESC LIMIT ?", store.schema.Database, table, day.Format(time.DateOnly), parts)
	require.NoError(t, err)
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	require.Len(t, names, parts, table)
	for _, name := range names {
		require.NoError(t, store.db.Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s DROP PART '%s'", store.table(table), name)))
	}
}

// An insert that ended anywhere is completed when it is repeated, and nothing of it is counted twice.
func TestCutInserts(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	w := newWriter(t, options)
	merges := func(what string) {
		for _, table := range storedTables {
			require.NoError(t, store.db.Exec(t.Context(), what+" "+store.table(table)))
		}
	}
	merges("SYSTEM STOP MERGES")
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -30)
	write := func() {
		day = day.AddDate(0, 0, 1)
		require.NoError(t, w.WriteCall(t.Context(), visits(day, 0, 50)))
	}
	write()
	want := contents(t, store, day)
	require.EqualValues(t, 50, want["stored spans"])
	require.EqualValues(t, 50, want["operation GET /"])
	parts := make(map[string]int) // of an insert in each table; one for each view
	all := 0
	for _, table := range storedTables {
		parts[table] = int(count(t, store, fmt.Sprintf("system.parts WHERE active AND database = '%s' AND table = '%s'", options.Database, table)))
		all += parts[table]
	}
	require.Equal(t, 12, all)
	for _, test := range []struct {
		name string
		lost func(table int) int // parts
	}{
		{"nothing", func(int) int { return 0 }},
		{"everything", func(table int) int { return parts[storedTables[table]] }},
		{"everything but spans", func(table int) int { return min(table, parts[storedTables[table]]) }},
		{"these", func(table int) int { return table % 2 }},
		{"those", func(table int) int { return (min(table, 1) + table) % 2 }},
	} {
		t.Run("lost "+test.name, func(t *testing.T) {
			write()
			for i, table := range storedTables {
				dropNewest(t, store, table, day, test.lost(i))
			}
			for range 2 {
				require.NoError(t, w.WriteCall(t.Context(), visits(day, 0, 50)))
			}
			require.Equal(t, want, contents(t, store, day))
		})
	}
	t.Run("lost before merges", func(t *testing.T) {
		write()
		require.NoError(t, w.WriteCall(t.Context(), visits(day, 50, 50)))
		dropNewest(t, store, "rollup_edges", day, 1)
		merges("SYSTEM START MERGES")
		merges("OPTIMIZE TABLE")
		require.NoError(t, w.WriteCall(t.Context(), visits(day, 50, 50)))
		got := contents(t, store, day)
		for what, n := range want {
			require.Equal(t, 2*n, got[what], what)
		}
	})
}

// Of several that repeat a call at once, one writes it; the others are told to come again, and change nothing then.
func TestRepeatedAtOnce(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	w := newWriter(t, options)
	day := time.Now().UTC().Truncate(24 * time.Hour)
	require.NoError(t, w.WriteCall(t.Context(), visits(day, 0, 50)))
	want := contents(t, store, day)
	next := day.AddDate(0, 0, 1)
	written.Store(writtenCall{options.Database, callID(visits(next, 0, 50))}, &triedCall{repeated: true}) // by one who does not know how it went
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				err := w.WriteCall(t.Context(), visits(next, 0, 50))
				if err == nil {
					return
				}
				if !assert.ErrorIs(t, err, ErrRunning) {
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, want, contents(t, store, next))
}
