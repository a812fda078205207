package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// OpenDurable opens an empty backend that keeps what it has. reopen closes it, or cuts it off, and opens what it left behind; what
// was open before is not used again. It is closed when the test ends.
type OpenDurable func(t *testing.T, settings Settings) (store Store, reopen func() Store)

// RunModel does at random what users and operators do (writes, repeated writes, late fragments, deletions, reopenings, questions)
// and expects of the backend the answers of memstore, byte by byte. Each run is one sequence of steps; seeds of failures stand in
// the names of the tests.
func RunModel(t *testing.T, open OpenDurable, runs, steps int) {
	for seed := range uint64(runs) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			settings := Settings{Retention: retention, Now: func() time.Time { return now }}
			m := metamorphic{traffic: newTraffic(1000 + seed), model: memstore.New(settings.Retention, settings.Now)}
			m.store, m.reopen = open(t, settings)
			for range steps {
				m.step(t)
			}
			m.compareAll(t)
			m.store = m.reopen()
			m.compareAll(t)
		})
	}
}

type metamorphic struct {
	*traffic
	model  *memstore.Store
	store  Store
	reopen func() Store
	calls  []ptrace.Traces
}

func (m *metamorphic) step(t *testing.T) {
	t.Helper()
	switch action := m.IntN(20); {
	case action < 6:
		td := m.call()
		m.calls = append(m.calls, td)
		write(t, m.model, td)
		write(t, m.store, td)
	case action < 8 && len(m.calls) > 0:
		td := pick(m.Rand, m.calls)
		write(t, m.model, td)
		write(t, m.store, td)
	case action < 10:
		trace := byte(m.IntN(trafficTraces))
		want := m.model.Delete(t.Context(), trafficTenant(trace), traceID(trace))
		require.ErrorIs(t, m.store.Delete(t.Context(), trafficTenant(trace), traceID(trace)), want)
	case action == 10:
		m.store = m.reopen()
	case action < 14:
		m.compareTrace(t, byte(m.IntN(trafficTraces)))
	case action < 15:
		m.compareAggregates(t, trafficTenant(byte(m.IntN(5))))
	default:
		m.compareSearch(t, trafficTenant(byte(m.IntN(5))), m.query())
	}
}

// compareSearch asks for all pages.
func (m *metamorphic) compareSearch(t *testing.T, tenant string, query *tracestore.SearchQuery) {
	t.Helper()
	want, got := allPages(t, m.model, tenant, query), allPages(t, m.store, tenant, query)
	want.Total.Exact, got.Total.Exact = false, false // which is the storage's affair
	require.Equal(t, want, got, "%+v", query)
}

func (m *metamorphic) compareTrace(t *testing.T, trace byte) {
	t.Helper()
	tenant, id := trafficTenant(trace), traceID(trace)
	want, got := releasesOf(t, m.model, tenant, id), releasesOf(t, m.store, tenant, id)
	require.Len(t, got, len(want), "trace %d", trace)
	for i := range want {
		require.Equal(t, want[i], got[i], "trace %d, release %d", trace, i)
	}
}

// releasesOf reads a trace's releases as OTLP; none where it is not found.
func releasesOf(t *testing.T, store tracestore.Reader, tenant string, id pcommon.TraceID) (releases [][]byte) {
	t.Helper()
	for td, err := range store.Trace(t.Context(), tenant, id) {
		if err != nil {
			require.ErrorIs(t, err, tracestore.ErrNotFound)
			require.Empty(t, releases)
			return nil
		}
		releases = append(releases, wire(t, td))
	}
	return releases
}

func (m *metamorphic) compareAll(t *testing.T) {
	t.Helper()
	for trace := range byte(trafficTraces) {
		m.compareTrace(t, trace)
	}
	for _, tenant := range []string{"", "tenant", "nobody"} {
		for _, order := range []tracestore.Order{tracestore.OrderRecency, tracestore.OrderDuration, tracestore.OrderErrors} {
			m.compareSearch(t, tenant, &tracestore.SearchQuery{Start: now.Add(-retention), End: now.Add(retention), Limit: 7, Order: order})
		}
		for range 10 {
			m.compareSearch(t, tenant, m.query())
		}
		m.compareAggregates(t, tenant)
		m.compareCatalogue(t, tenant)
	}
}

// compareAggregates compares sums, and of distributions how many they hold.
func (m *metamorphic) compareAggregates(t *testing.T, tenant string) {
	t.Helper()
	query := &tracestore.AggregateQuery{Start: now.Add(-retention), End: now.Add(retention)}
	count := func(d *tracestore.Durations) int {
		if *d == nil {
			return 0
		}
		n := int((*d).GetCount())
		*d = nil
		return n
	}
	type counted[T any] struct {
		aggregate T
		durations int
	}
	operations := func(store tracestore.Reader) (list []counted[tracestore.OperationAggregate]) {
		for _, o := range collect(t, store.Operations(t.Context(), tenant, query)) {
			n := count(&o.Durations)
			list = append(list, counted[tracestore.OperationAggregate]{o, n})
		}
		return list
	}
	require.ElementsMatch(t, operations(m.model), operations(m.store))
	entries := func(store tracestore.Reader) (list []counted[tracestore.EntryAggregate]) {
		for _, e := range collect(t, store.Entries(t.Context(), tenant, query)) {
			n := count(&e.Durations)
			list = append(list, counted[tracestore.EntryAggregate]{e, n})
		}
		return list
	}
	require.ElementsMatch(t, entries(m.model), entries(m.store))
	edges := func(store tracestore.Reader) (list []counted[tracestore.EdgeAggregate]) {
		for _, e := range collect(t, store.Edges(t.Context(), tenant, query)) {
			n := count(&e.Durations)
			list = append(list, counted[tracestore.EdgeAggregate]{e, n})
		}
		return list
	}
	require.ElementsMatch(t, edges(m.model), edges(m.store))
	want, err := m.model.Completeness(t.Context(), tenant, query)
	require.NoError(t, err)
	got, err := m.store.Completeness(t.Context(), tenant, query)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// compareCatalogue: whatever is stored is named. What was deleted may be named too.
func (m *metamorphic) compareCatalogue(t *testing.T, tenant string) {
	t.Helper()
	query := &tracestore.CatalogueQuery{Start: now.Add(-retention), End: now.Add(retention), Limit: 1000}
	known := make(map[string]tracestore.ValueTypes)
	for _, key := range attributeKeys(t, m.store, tenant, query) {
		known[fmt.Sprint(key.Scope, key.Key)] = key.Types
	}
	for _, key := range attributeKeys(t, m.model, tenant, query) {
		types, ok := known[fmt.Sprint(key.Scope, key.Key)]
		require.True(t, ok, "key %q", key.Key)
		require.Equal(t, key.Types, types&key.Types, "key %q", key.Key)
		want, err := m.model.AttributeValues(t.Context(), tenant, key.Scope, key.Key, query)
		require.NoError(t, err)
		got, err := m.store.AttributeValues(t.Context(), tenant, key.Scope, key.Key, query)
		require.NoError(t, err)
		for _, value := range want {
			require.True(t, slices.ContainsFunc(got, func(v tracestore.AttributeValue) bool { return v.Text == value.Text }), "%q = %q", key.Key, value.Text)
		}
	}
}
