package rollup

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// TestOther: what is beyond a limit is one series with a service that is called "other", and all kinds of rows have it.
func TestOther(t *testing.T) {
	s := NewSums(1)
	for _, name := range []string{"other", "second", "third"} {
		id := s.strings.id
		for table := range AllTables.All() {
			k := key{id("prod"), id(name), id(name), id(name), id(name), id(name), id(name)}
			if table == Operations {
				k[operationVersion], k[operationKind] = 0, id("unspecified")
			}
			if table == Edges {
				k[edgeKind], k[edgeProtocol] = id(conventions.KindService), id(conventions.ProtocolUnknown)
			}
			clear(k[shapes[table].columns:])
			r := s.at(table, &k)
			r.numbers[numCount] += 2
			r.happened().add(7, [16]byte{1})
		}
		if name == "other" {
			s.at(Operations, &s.tables[Operations].keys[0]).durations.add(5)
		}
	}
	value := s.Append(nil, AllTables)
	other := tracestore.Operation{Service: "other", Operation: "other"}
	answer := func(table Table) *Answer {
		a := NewAnswer(table, &tracestore.AggregateQuery{})
		require.NoError(t, a.Merge(value))
		return a
	}
	operations := slices.Collect(answer(Operations).Operations())
	require.Len(t, operations, 1)
	require.Equal(t, 1, int(operations[0].Durations.GetCount()))
	operations[0].Durations = nil
	require.Equal(t, tracestore.OperationAggregate{Operation: other, Kind: "unspecified", Calls: 6, Weight: 6}, operations[0])
	require.Equal(t, []tracestore.EdgeAggregate{
		{Parent: "other", Child: "other", ChildKind: "service", Protocol: "unknown", Calls: 6},
	}, slices.Collect(answer(Edges).Edges()))
	require.Equal(t, []tracestore.EntryAggregate{
		{Operation: other, Traces: 6, Outcomes: map[string]int64{"other": 6}},
	}, slices.Collect(answer(Entries).Entries()))
	require.Equal(t, []tracestore.EntryOperationAggregate{{Entry: other, Operation: other, Calls: 6}},
		slices.Collect(answer(EntryOperations).EntryOperations()))
	failures := slices.Collect(answer(Errors).Errors())
	require.Len(t, failures, 1)
	require.Equal(t, "other", failures[0].Fingerprint)
	require.EqualValues(t, 6, failures[0].Count)
	require.Len(t, failures[0].TraceIDs, 1)
	require.Equal(t, tracestore.Completeness{Spans: 6, Other: 4}, answer(Spans).Completeness())

	// Asked for an environment or a service, only what is known to be of it.
	for _, query := range []tracestore.AggregateQuery{{Environment: new("prod")}, {Service: "other"}} {
		a := NewAnswer(Operations, &query)
		require.NoError(t, a.Merge(value))
		for operation := range a.Operations() {
			require.EqualValues(t, 2, operation.Calls)
		}
	}
}

// TestAnswerLimit: many minutes of other series each do not fill the memory.
func TestAnswerLimit(t *testing.T) {
	a := NewAnswer(Operations, &tracestore.AggregateQuery{})
	for minute := range 11 {
		s := NewSums(MaxSeries)
		for n := range MaxSeries {
			s.at(Operations, &key{operationName: s.strings.id(fmt.Sprint(minute, " ", n))}).numbers[numCount] = 1
		}
		require.NoError(t, a.Merge(s.Append(nil, AllTables)))
	}
	series := 0
	for operation := range a.Operations() {
		series++
		if operation.Service == "other" {
			require.EqualValues(t, MaxSeries, operation.Calls)
		}
	}
	require.Equal(t, maxAnswerSeries+1, series)
}
