package storetest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// compare asks the store for everything.
func (m *model) compare(t *testing.T, store Store, tenant string) {
	t.Helper()
	var operations []tracestore.OperationAggregate
	for key, want := range m.operations {
		key.Calls, key.Errors, key.SelfTime, key.CriticalPathTime = want.calls, want.errors, want.self, want.path
		key.Roots, key.Weight = want.roots, want.weight
		operations = append(operations, key)
	}
	got := collect(t, store.Operations(t.Context(), tenant, m.query))
	for i := range got {
		want := m.operations[tracestore.OperationAggregate{Operation: got[i].Operation, Version: got[i].Version, Kind: got[i].Kind}]
		distributed(t, want, &got[i].Durations)
	}
	require.ElementsMatch(t, operations, got)

	var edges []tracestore.EdgeAggregate
	for key, want := range m.edges {
		key.Calls, key.Errors = max(0, want.calls-want.retracted), max(0, want.errors-want.retractedErrors)
		if key.Calls > 0 {
			edges = append(edges, key)
		}
	}
	gotEdges := collect(t, store.Edges(t.Context(), tenant, m.query))
	for i := range gotEdges {
		e := &gotEdges[i]
		key := *e
		key.Calls, key.Errors, key.Durations = 0, 0, nil
		distributed(t, m.edges[key], &e.Durations)
	}
	require.ElementsMatch(t, edges, gotEdges)

	require.ElementsMatch(t, m.contextList(), collect(t, store.Contexts(t.Context(), tenant, m.query)))
	var contrasts []tracestore.ContrastAggregate
	for key, want := range m.contrasts {
		key.Traces, key.Errors = want.traces, want.errors
		contrasts = append(contrasts, key)
	}
	require.ElementsMatch(t, contrasts, collect(t, store.Contrasts(t.Context(), tenant, m.query)))
	m.compareTraces(t, store, tenant)
}

func (m *model) compareTraces(t *testing.T, store Store, tenant string) {
	t.Helper()
	var entries []tracestore.EntryAggregate
	for key, want := range m.entries {
		entry := tracestore.EntryAggregate{
			Operation: key, Traces: max(0, want.traces-want.retracted), Errors: max(0, want.errors-want.retractedErrors),
			Outcomes: make(map[string]int64),
		}
		for outcome, n := range want.outcomes {
			if n -= want.retractedOutcomes[outcome]; n > 0 {
				entry.Outcomes[outcome] = n
			}
		}
		if entry.Traces > 0 {
			entries = append(entries, entry)
		}
	}
	gotEntries := collect(t, store.Entries(t.Context(), tenant, m.query))
	for i := range gotEntries {
		distributed(t, m.entries[gotEntries[i].Operation], &gotEntries[i].Durations)
	}
	require.ElementsMatch(t, entries, gotEntries)

	var through []tracestore.EntryOperationAggregate
	for key, want := range m.through {
		through = append(through, tracestore.EntryOperationAggregate{
			Entry: key[0], Operation: key[1], Traces: want.traces, Calls: want.calls, Errors: want.errors,
			SelfTime: want.self, CriticalPathTime: want.path,
		})
	}
	require.ElementsMatch(t, through, collect(t, store.EntryOperations(t.Context(), tenant, m.query)))

	var failures []tracestore.ErrorAggregate
	for key, want := range m.errors {
		failures = append(failures, tracestore.ErrorAggregate{
			Fingerprint: key.fingerprint, Operation: key.operation, Entry: key.entry, Count: want.calls, First: want.first, Last: want.last,
		})
	}
	gotErrors := collect(t, store.Errors(t.Context(), tenant, m.query))
	for i := range gotErrors {
		e := &gotErrors[i]
		want := m.errors[errorKey{e.Fingerprint, e.Operation, e.Entry}]
		require.NotNil(t, want)
		require.Len(t, e.TraceIDs, min(5, len(want.ids)))
		for _, id := range e.TraceIDs {
			require.True(t, want.ids[id])
			delete(want.ids, id) // each once
		}
		e.TraceIDs = nil
	}
	require.ElementsMatch(t, failures, gotErrors)

	done, err := store.Completeness(t.Context(), tenant, m.query)
	require.NoError(t, err)
	want := m.spans
	want.Unrepaired = max(0, want.Unrepaired)
	require.Equal(t, want, done)
}

// distributed compares quantiles with those of the sorted durations, and takes the distribution out.
func distributed(t *testing.T, want *tally, got *tracestore.Durations) {
	t.Helper()
	require.NotNil(t, want)
	if len(want.durations) == 0 {
		require.Nil(t, *got)
		return
	}
	require.NotNil(t, *got)
	require.Equal(t, len(want.durations), int((*got).GetCount()))
	slices.Sort(want.durations)
	for _, quantile := range []float64{0, 0.25, 0.5, 0.95, 0.99, 1} {
		exact := want.durations[int(quantile*float64(len(want.durations)-1))]
		value, err := (*got).GetValueAtQuantile(quantile)
		require.NoError(t, err)
		require.InDelta(t, float64(exact), value, 0.01*float64(exact)+1e-6)
	}
	*got = nil
}
