package clickhousestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// TestAttributeOfOperation: an attribute on a span of a service and operation is found under each of their names, and the server uses the index of
// these together. It does so only where it knows the index's expression again in the statement, and says nothing where it does not.
func TestAttributeOfOperation(t *testing.T) {
	options := testOptions(t)
	options.upTo = 2
	store := openStore(t, options)
	now := time.Now()
	td := ptrace.NewTraces()
	add := func(id byte, sender, service, name, operation, tier string) {
		rs := td.ResourceSpans().AppendEmpty()
		if sender != "" {
			rs.Resource().Attributes().PutStr("service.name", sender)
		}
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, now.UnixNano())
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: id})
		span.SetSpanID(pcommon.SpanID{7: 1})
		span.SetName(name)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Second)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		span.Attributes().PutStr("tier", tier)
		span.Attributes().PutInt(conventions.AttrVersion, 1)
		span.Attributes().PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
		releases := tracetree.Releases(td)
		release := &releases[len(releases)-1]
		analysis.Annotate(release, analysis.Analyze(release))
		for key, value := range map[string]string{conventions.AttrService: service, conventions.AttrOperation: operation} {
			if value != "" {
				span.Attributes().PutStr(key, value)
			}
		}
	}
	add(1, "shop-v2", "shop", "GET /cart/17", "GET /cart/{id}", "gold")
	add(2, "shop-v2", "shop", "GET /cart/18", "GET /cart/{id}", "silver")
	add(3, "", "stock", "take", "", "gold") // its sender is "unknown_service"
	add(4, "mail", "", "send", "", "gold")
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), td))

	query := func(scope tracestore.AttributeScope, service, operation, tier string) *tracestore.SearchQuery {
		return &tracestore.SearchQuery{
			Start: now.Add(-time.Hour), End: now.Add(time.Hour), Limit: 10, Where: tracestore.Conditions{Span: tracestore.SpanConditions{
				Service: service, Operation: operation,
				Attributes: []tracestore.AttributeCondition{{Scope: scope, Key: "tier", Op: tracestore.OpEqual, Text: tier}},
			}},
		}
	}
	for _, test := range []struct {
		service, operation, tier string
		want                     []byte
	}{
		{"shop", "GET /cart/{id}", "gold", []byte{1}},
		{"shop", "GET /cart/17", "gold", []byte{1}},
		{"shop-v2", "GET /cart/{id}", "gold", []byte{1}},
		{"shop-v2", "GET /cart/17", "gold", []byte{1}},
		{"shop-v2", "GET /cart/{id}", "silver", []byte{2}},
		{"stock", "take", "gold", []byte{3}},
		{"unknown_service", "take", "gold", []byte{3}},
		{"mail", "send", "gold", []byte{4}},
		{"mail", "send", "silver", nil},
	} {
		for _, scope := range []tracestore.AttributeScope{tracestore.ScopeSpan, tracestore.ScopeAny} {
			page, err := store.Search(t.Context(), "", query(scope, test.service, test.operation, test.tier))
			require.NoError(t, err)
			var got []byte
			for _, trace := range page.Traces {
				got = append(got, trace.TraceID[15])
			}
			require.Equal(t, test.want, got, test)
		}
	}

	requireIndexed(t, store, query(tracestore.ScopeSpan, "mail", "send", "silver"))
}

// requireIndexed holds that the server uses the indexes of attributes for a query, and finds out by them that no span matches.
func requireIndexed(t *testing.T, store *Store, query *tracestore.SearchQuery) {
	t.Helper()
	r := &search{store: store, ctx: t.Context(), query: query}
	r.slice = slice{quarters: []quarter{{at: quarterOf(query.Start.Add(time.Hour))}}}
	values := parameters{}
	rows, err := store.query(t.Context(), "EXPLAIN indexes = 1 "+r.hitsOf(values, 10, false), values)
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		fmt.Fprintln(&plan, strings.TrimSpace(line))
	}
	require.NoError(t, rows.Err())
	require.Contains(t, plan.String(), "Name: span_attributes\n")
	require.Regexp(t, `Name: operation_attributes\n.*\nParts: 0/1\n`, plan.String())
}

// TestOlderOperations: a schema from before there was a column of operations gets it, and what is in there is found by it.
func TestOlderOperations(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	for _, statement := range []string{
		"ALTER TABLE " + store.table("otel_traces") + " DROP INDEX operation_attributes, DROP INDEX operation_names, DROP COLUMN OperationNames",
		"TRUNCATE TABLE " + store.table(migrationsTable), "INSERT INTO " + store.table(migrationsTable) + " (Number, Name) VALUES (5, '0005_sources')",
	} {
		require.NoError(t, store.db.Exec(t.Context(), statement))
	}
	now := time.Now()
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), oneSpan(now, 1)))
	newer, err := Open(options)
	require.NoError(t, err)
	defer func() { require.NoError(t, newer.Close()) }()
	require.NoError(t, newer.Ready(t.Context()))
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), oneSpan(now, 2)))
	query := &tracestore.SearchQuery{Start: now.Add(-time.Hour), End: now.Add(time.Hour), Limit: 10}
	query.Where.Span = tracestore.SpanConditions{Service: "shop", Operation: "GET /"}
	page, err := newer.Search(t.Context(), "", query)
	require.NoError(t, err)
	require.Len(t, page.Traces, 2)
}
