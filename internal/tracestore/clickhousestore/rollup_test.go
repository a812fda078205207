package clickhousestore

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// visits are calls of an entry: traces first to first + n − 1, of one span of 10 ms each that failed and says so.
func visits(releasedAt time.Time, first, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutStr("service.version", "1")
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{14: byte((first + i) >> 8), 15: byte(first + i)})
		span.SetSpanID(pcommon.SpanID{7: 1})
		span.SetName("GET /")
		span.SetKind(ptrace.SpanKindServer)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(releasedAt))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(releasedAt.Add(10 * time.Millisecond)))
		span.Status().SetCode(ptrace.StatusCodeError)
		attrs := span.Attributes()
		attrs.PutStr("user.tier", "gold")
		attrs.PutStr(conventions.AttrEntryService, "shop")
		attrs.PutStr(conventions.AttrEntryOperation, "GET /")
		attrs.PutStr(conventions.AttrPeerService, "mail")
		attrs.PutStr(conventions.AttrParentService, "web")
		attrs.PutStr(conventions.AttrParentOperation, "fetch")
		attrs.PutBool(conventions.AttrErrorOrigin, true)
		attrs.PutStr(conventions.AttrErrorFingerprint, "f")
		attrs.PutInt(conventions.AttrSpanCount, 1)
		attrs.PutEmptySlice(conventions.AttrViolations).AppendEmpty().SetStr(conventions.ViolationMissingSpanName)
		// What a late span repairs.
		attrs.PutInt(conventions.AttrRepaired, 1)
		attrs.PutEmptySlice(conventions.AttrChildService).AppendEmpty().SetStr("stock")
		attrs.PutStr(conventions.AttrEntryOutcome, conventions.OutcomeQuiet)
		attrs.PutBool(conventions.AttrEntryError, true)
	}
	return td
}

// sums are all that rollups count of a minute.
func sums(t *testing.T, store *Store, minute time.Time) map[string]int64 {
	t.Helper()
	query := &tracestore.AggregateQuery{Start: minute, End: minute.Add(time.Minute)}
	got := make(map[string]int64)
	for o := range all(t, store.Operations(t.Context(), "", query)) {
		got["operation "+o.Operation.Operation] += o.Calls
	}
	for e := range all(t, store.Edges(t.Context(), "", query)) {
		got["edge "+e.Parent+" "+e.Child] += e.Calls
	}
	for e := range all(t, store.Entries(t.Context(), "", query)) {
		got["entry "+e.Operation.Operation] += e.Traces
		got["entry errors"] += e.Errors
		got["entry durations"] += int64(e.Durations.GetCount())
	}
	for e := range all(t, store.EntryOperations(t.Context(), "", query)) {
		got["entry operation "+e.Operation.Operation] += e.Calls
	}
	for e := range all(t, store.Errors(t.Context(), "", query)) {
		got["error "+e.Fingerprint] += e.Count
	}
	for c := range all(t, store.Contexts(t.Context(), "", query)) {
		got["violations of "+c.Parent+" "+c.Child] += c.Violations[conventions.ViolationMissingSpanName]
	}
	for c := range all(t, store.Contrasts(t.Context(), "", query)) {
		got["contrast "+c.Key+" "+c.Value] += c.Traces
	}
	done, err := store.Completeness(t.Context(), "", query)
	require.NoError(t, err)
	got["spans"] = done.Spans
	keys, err := store.AttributeKeys(t.Context(), "", &tracestore.CatalogueQuery{Start: minute, End: minute.Add(time.Minute), Limit: 10})
	require.NoError(t, err)
	for _, key := range keys {
		got["key "+key.Key] += key.Spans
	}
	return got
}

func all[T any](t *testing.T, sequence iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for value, err := range sequence {
			require.NoError(t, err)
			if !yield(value) {
				return
			}
		}
	}
}

// Halves add up, those that count the same too; what is repeated counts once, whoever repeats it.
func TestRollupsOfRepeatedCalls(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	one, other := newWriter(t, options), newWriter(t, options)
	minute := time.Now().Truncate(time.Minute)
	first, second := visits(minute, 0, 50), visits(minute, 50, 50)
	for i, td := range []ptrace.Traces{first, first, second, first, second} {
		require.NoError(t, []writer{one, other}[i%2].WriteCall(t.Context(), td))
	}
	require.Equal(t, map[string]int64{
		"operation GET /": 100, "edge web shop": 100, "edge shop stock": 100, "entry GET /": 100, "entry errors": 200, "entry durations": 100,
		"entry operation GET /": 100, "error f": 100, "violations of web shop": 100, "violations of shop stock": 0,
		"contrast service.version 1": 100, "contrast user.tier gold": 100, "spans": 100,
		"key user.tier": 100, "key service.name": 100, "key service.version": 100,
	}, sums(t, store, minute))
}

// readParts finds how many parts are read by the smallest and largest minutes that they hold.
var readParts = regexp.MustCompile(`(?s)Min-Max.*?Parts: (\d+)/(\d+)`)

// Rollups stand by the release, whatever times spans have, and a window reads the days that it touches.
func TestRollupPartitions(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	w := newWriter(t, options)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for day := range 3 {
		td := visits(today.Add(-time.Duration(day)*24*time.Hour), 100*day, 100)
		for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Date(1971+2*i, 1, 1, 0, 0, 0, 0, time.UTC)))
			span.SetEndTimestamp(span.StartTimestamp() + 1)
		}
		require.NoError(t, w.WriteCall(t.Context(), td))
	}
	for _, table := range []string{"rollup_operations", "rollup_edges", "rollup_entry_operations", "rollup_contexts", "rollup_entries", "attribute_catalogue"} {
		require.EqualValues(t, 3, count(t, store, fmt.Sprintf(
			"(SELECT DISTINCT partition FROM system.parts WHERE active AND database = '%s' AND table = '%s')", options.Database, table)), table)
	}
	query := &tracestore.AggregateQuery{Start: today, End: today.Add(time.Minute)}
	win, ok := windowOf("", query)
	require.True(t, ok)
	for _, table := range rollupTables {
		sql := store.plain(table, &win, query)
		plan := explain(t, store, sql)
		parts := readParts.FindStringSubmatch(plan)
		require.NotNil(t, parts, plan)
		read, err := strconv.Atoi(parts[1])
		require.NoError(t, err)
		of, err := strconv.Atoi(parts[2])
		require.NoError(t, err)
		require.Equal(t, of, 3*read, "of three days one is read")
		require.Contains(t, plan, "PrimaryKey")
	}
}

// explain answers which parts a query reads.
func explain(t *testing.T, store *Store, sql *statement) string {
	t.Helper()
	var plan strings.Builder
	explained := &statement{values: sql.values}
	explained.WriteString("EXPLAIN indexes = 1 " + sql.String())
	require.NoError(t, store.read(t.Context(), explained, func(rows driver.Rows) error {
		var line string
		err := rows.Scan(&line)
		plan.WriteString(line + "\n")
		return err
	}))
	return plan.String()
}

// A query that would read too much is refused.
func TestRollupLimits(t *testing.T) {
	options := testOptions(t)
	options.Limits.MaxRows = 1
	store := openStore(t, options)
	minute := time.Now().Truncate(time.Minute)
	require.NoError(t, newWriter(t, options).WriteCall(context.Background(), visits(minute, 0, 2)))
	query := &tracestore.AggregateQuery{Start: minute, End: minute.Add(time.Minute)}
	failed := false
	for _, err := range store.Edges(t.Context(), "", query) {
		require.ErrorContains(t, err, "rows")
		failed = true
	}
	require.True(t, failed)
}
