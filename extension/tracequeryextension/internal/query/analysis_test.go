package query

import (
	"context"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// windows answers entries that differ by window: now is what ends after the hour.
type windows struct {
	aggregates
	hour        time.Time
	now, before []tracestore.EntryAggregate
	parts       []tracestore.EntryOperationAggregate

	mu    sync.Mutex // guards asked: insights read both windows at the same time
	asked []tracestore.AggregateQuery
}

func (w *windows) Entries(_ context.Context, _ string, query *tracestore.AggregateQuery) iter.Seq2[tracestore.EntryAggregate, error] {
	w.mu.Lock()
	w.asked = append(w.asked, *query)
	w.mu.Unlock()
	entries := w.before
	if query.End.After(w.hour) {
		entries = w.now
	}
	return sequence(entries, w.fail == "entries", func(*tracestore.EntryAggregate) bool { return true })
}

func (w *windows) EntryOperations(
	context.Context, string, *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryOperationAggregate, error] {
	return sequence(w.parts, w.fail == "parts", func(*tracestore.EntryOperationAggregate) bool { return true })
}

func (w *windows) Contrasts(context.Context, string, *tracestore.AggregateQuery) iter.Seq2[tracestore.ContrastAggregate, error] {
	return sequence(nil, w.fail == "contrasts", func(*tracestore.ContrastAggregate) bool { return true })
}

func (w *windows) Errors(context.Context, string, *tracestore.AggregateQuery) iter.Seq2[tracestore.ErrorAggregate, error] {
	return sequence(nil, w.fail == "errors", func(*tracestore.ErrorAggregate) bool { return true })
}

func entryOf(name string, traces int64, outcomes map[string]int64) tracestore.EntryAggregate {
	return tracestore.EntryAggregate{Operation: tracestore.Operation{Service: "web", Operation: name}, Traces: traces, Outcomes: outcomes}
}

func TestPerformanceReadsTwoWindows(t *testing.T) {
	hour := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	buy := tracestore.Operation{Service: "web", Operation: "buy"}
	w := &windows{
		hour:   hour.Add(time.Minute),
		now:    []tracestore.EntryAggregate{entryOf("buy", 12, map[string]int64{conventions.OutcomePart: 1, conventions.OutcomeInterim: 1, "quiet": 10}), entryOf("look", 5, nil)},
		before: []tracestore.EntryAggregate{entryOf("buy", 20, nil), entryOf("gone", 1, nil)},
		parts:  []tracestore.EntryOperationAggregate{{Entry: buy, Operation: buy, Calls: 10, CriticalPathTime: 1000}},
	}
	w.operations = []tracestore.OperationAggregate{
		{Operation: tracestore.Operation{Service: "web", Operation: "buy"}, SelfTime: int64(10 * time.Minute)},
		{Operation: tracestore.Operation{Service: "web", Operation: "look"}, SelfTime: int64(5 * time.Minute)},
		{Operation: tracestore.Operation{Service: "db", Operation: "get"}, SelfTime: int64(15 * time.Minute)},
	}
	s := service(storage{AggregateReader: w})
	asked := &PerformanceQuery{
		Window: tracestore.AggregateQuery{Start: hour.Add(90 * time.Second), End: hour.Add(5*time.Minute + time.Second), Service: "web"}, Limit: 2,
		Now: hour.Add(5*time.Minute + time.Second),
	}
	p, err := s.Performance(t.Context(), "", asked)
	require.NoError(t, err)
	require.Equal(t, hour.Add(time.Minute), p.Previous.End, "the minutes do not overlap")
	require.Equal(t, hour.Add(-4*time.Minute), p.Previous.Start)
	require.Len(t, w.asked, 2+5, "both windows, and the course of the first by the minute")
	require.Empty(t, w.asked[0].Service)

	require.True(t, p.More)
	require.Len(t, p.Entries, 2)
	require.Equal(t, buy, p.Entries[0].Operation)
	require.InDelta(t, 100, p.Entries[0].Profile.Now, 1e-9, "over the ten traces that are whole")
	require.EqualValues(t, 12, p.Entries[0].Now.Traces)
	require.Equal(t, "look", p.Entries[1].Operation.Operation)
	// Each of the five minutes has them all; the last of 1 s counts, but has no rate of its own.
	took := 241 * time.Second
	concurrency, busy := float64(75*time.Minute)/float64(took), int64(75*time.Minute)
	require.Equal(t, []ServiceLoad{
		{Service: "db", Concurrency: concurrency, Peak: concurrency, Before: 3, BusyTime: busy},
		{Service: "web", Concurrency: concurrency, Peak: concurrency, Before: 3, BusyTime: busy},
	}, p.Services)
}

// Busy time is divided by the time in which there can have been calls: by whole minutes, as the sums are, and not by those to come.
func TestConcurrencyUntilNow(t *testing.T) {
	hour := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	w := &windows{hour: hour}
	w.operations = []tracestore.OperationAggregate{{Operation: tracestore.Operation{Service: "web", Operation: "buy"}, SelfTime: int64(time.Minute)}}
	for name, test := range map[string]struct {
		end, now          time.Time
		concurrency, peak float64
		before            float64
	}{
		"end in the past, on a minute":     {hour.Add(2 * time.Minute), hour.Add(time.Hour), 1, 1, 0.5},
		"end in the past, within a minute": {hour.Add(61 * time.Second), hour.Add(time.Hour), 1, 1, 0.5},
		"end now":                          {hour.Add(90 * time.Second), hour.Add(90 * time.Second), 4. / 3, 2, 0.5},
		"end to come":                      {hour.Add(4 * time.Minute), hour.Add(2 * time.Minute), 2, 2, 0.25},
		"start to come":                    {hour.Add(4 * time.Minute), hour.Add(-2 * time.Minute), 0, 0, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := service(storage{AggregateReader: w}).Performance(t.Context(), "", &PerformanceQuery{
				Window: tracestore.AggregateQuery{Start: hour, End: test.end}, Now: test.now, Limit: 1,
			})
			require.NoError(t, err)
			require.Len(t, p.Services, 1)
			load := p.Services[0]
			require.InDelta(t, test.concurrency, load.Concurrency, 1e-9)
			require.InDelta(t, test.peak, load.Peak, 1e-9)
			require.InDelta(t, test.before, load.Before, 1e-9, "of which two minutes are over")
		})
	}
}

func TestAnalysisOfABrokenStorage(t *testing.T) {
	window := tracestore.AggregateQuery{Start: time.Unix(100, 0), End: time.Unix(200, 0), Service: "web"}
	for _, fail := range []string{"operations", "entries", "parts", "completeness", "edges"} {
		w := &windows{}
		w.fail = fail
		s := service(storage{AggregateReader: w})
		if fail != "edges" {
			_, err := s.Performance(t.Context(), "", &PerformanceQuery{Window: window, Limit: 1})
			require.ErrorIs(t, err, errBroken, fail)
		}
		_, err := s.Dependencies(t.Context(), "", &DependenciesQuery{Window: window})
		require.ErrorIs(t, err, errBroken, fail)
	}
	for _, fail := range []string{"operations", "entries", "parts", "contrasts", "contexts", "completeness"} {
		w := &windows{}
		w.fail = fail
		_, err := service(storage{AggregateReader: w}).Insights(t.Context(), "", &InsightsQuery{Window: window, Limit: 1})
		require.ErrorIs(t, err, errBroken, fail)
	}
	w := &windows{}
	w.fail = "errors"
	_, err := service(storage{AggregateReader: w}).Dependencies(t.Context(), "", &DependenciesQuery{Window: window})
	require.ErrorIs(t, err, errBroken)
	s := service(storage{})
	s.Storage = func() (tracestore.Backend, error) { return nil, tracestore.ErrClosed }
	_, err = s.Performance(t.Context(), "", &PerformanceQuery{Window: window})
	require.ErrorIs(t, err, tracestore.ErrClosed)
	_, err = s.Dependencies(t.Context(), "", &DependenciesQuery{Window: window})
	require.ErrorIs(t, err, tracestore.ErrClosed)
}
