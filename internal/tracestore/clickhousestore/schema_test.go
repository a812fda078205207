package clickhousestore

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// oneSpan is a call of a trace of one span.
func oneSpan(releasedAt time.Time, id byte) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{15: id})
	span.SetSpanID(pcommon.SpanID{7: 1})
	span.SetName("GET /")
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(releasedAt.Add(-time.Second)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(releasedAt))
	return td
}

func count(t *testing.T, store *Store, what string) (n uint64) {
	t.Helper()
	require.NoError(t, store.db.QueryRow(t.Context(), "SELECT count() FROM "+what).Scan(&n))
	return n
}

// A call that is written again, by anybody, changes nothing: not in the table, and in none that views fill.
func TestRepeatedInsert(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	one, other := newWriter(t, options), newWriter(t, options)
	now := time.Now()
	for _, w := range []writer{one, one, other} {
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 1)))
	}
	require.NoError(t, one.WriteCall(t.Context(), oneSpan(now, 2)))
	for _, table := range []string{"otel_traces", "trace_times", "traces"} {
		require.EqualValues(t, 2, count(t, store, store.table(table)), table)
	}
}

// Several that start at once make one schema.
func TestMigrateAtOnce(t *testing.T) {
	options := testOptions(t)
	openStore(t, options) // drops the database
	options.Database = newDatabase(t)
	var wg sync.WaitGroup
	for range 4 {
		store, err := Open(options)
		require.NoError(t, err)
		wg.Go(func() {
			assert.NoError(t, store.Ready(t.Context()))
			assert.NoError(t, store.Close())
		})
	}
	wg.Wait()
	store := openStore(t, options)
	version, err := store.schemaVersion(t.Context())
	require.NoError(t, err)
	migrations, err := store.schema.migrations()
	require.NoError(t, err)
	require.EqualValues(t, len(migrations), version)
}
