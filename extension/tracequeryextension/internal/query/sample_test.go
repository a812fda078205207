package query

import (
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// evenly has a trace each millisecond, of two spans; those whose number is odd came in two releases.
type evenly struct {
	tracestore.AggregateReader
	tracestore.CatalogueReader

	start  time.Time
	large  bool
	gone   map[pcommon.TraceID]bool
	broken error
}

func (e *evenly) id(n int64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n+1))
	return id
}

func (e *evenly) Search(_ context.Context, _ string, query *tracestore.SearchQuery) (page tracestore.SearchPage, err error) {
	for at := query.Start.UnixMilli(); at < query.End.UnixMilli() && len(page.Traces) < query.Limit; at++ {
		row := tracestore.Summary{TraceID: e.id(at - e.start.UnixMilli()), SpanCount: 2}
		if e.large {
			row.SpanCount = maxSampledSpans + 1
		}
		page.Traces = append(page.Traces, row)
	}
	return page, e.broken
}

func (e *evenly) Trace(_ context.Context, _ string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		if e.gone[id] {
			yield(ptrace.Traces{}, tracestore.ErrNotFound)
			return
		}
		for _, td := range e.releases(id) {
			if !yield(td, nil) {
				return
			}
		}
	}
}

func (e *evenly) releases(id pcommon.TraceID) []ptrace.Traces {
	one := func(n byte) ptrace.Traces {
		td := ptrace.NewTraces()
		span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(id)
		span.SetSpanID(pcommon.SpanID{7: n})
		span.SetEndTimestamp(pcommon.Timestamp(binary.BigEndian.Uint64(id[8:])))
		return td
	}
	if id[15]%2 == 1 {
		return []ptrace.Traces{one(1), one(2)}
	}
	td := one(1)
	one(2).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	return []ptrace.Traces{td}
}

// together reads several at once, from the last to the first.
type together struct {
	*evenly
	calls int
	mu    sync.Mutex // guards calls
}

func (r *together) Traces(_ context.Context, _ string, ids []pcommon.TraceID) iter.Seq2[tracestore.StoredRelease, error] {
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	return func(yield func(tracestore.StoredRelease, error) bool) {
		for _, id := range slices.Backward(ids) {
			if r.gone[id] {
				continue
			}
			for _, td := range r.releases(id) {
				if !yield(tracestore.StoredRelease{ID: id, Release: td}, nil) {
					return
				}
			}
		}
	}
}

// drawn are the numbers of the traces that were read, by their places.
func drawn(t *testing.T, reader tracestore.Reader, s *sampling) []int64 {
	t.Helper()
	s.reader = reader
	var numbers []int64
	require.NoError(t, s.draw(t.Context(), func(n int) { numbers = make([]int64, n) }, func(place int, r *analysis.Result) {
		require.Len(t, r.Spans, 2)
		numbers[place] = r.RootDuration
	}))
	return slices.DeleteFunc(numbers, func(n int64) bool { return n == 0 })
}

// Of three parts the first has a quarter of the traces and the second none; so has the sample.
func TestSampleIsSpread(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	window := tracestore.AggregateQuery{Start: start, End: at(60)}
	parts := []windowPart{{at(0), at(15), 900_000}, {at(15), at(20), 0}, {at(20), at(60), 2_700_000}}
	for name, reader := range map[string]tracestore.Reader{
		"one by one": &evenly{start: start}, "together": &together{evenly: &evenly{start: start}},
	} {
		for _, wanted := range []int{100, 400, 6000} {
			s := sampling{reader: reader, window: window, parts: parts, until: time.Now().Add(time.Minute), info: SampleInfo{All: 3_600_000}}
			var numbers []int64
			require.NoError(t, s.drawPlaces(t.Context(), wanted, func(n int) { numbers = make([]int64, n) }, func(place int, r *analysis.Result) {
				require.Zero(t, numbers[place])
				numbers[place] = r.RootDuration
			}), name)
			numbers = slices.DeleteFunc(numbers, func(n int64) bool { return n == 0 })
			require.InDelta(t, wanted, len(numbers), float64(wanted)/5, name)
			require.Equal(t, SampleInfo{All: 3_600_000, Traces: len(numbers)}, s.info)
			slices.Sort(numbers)
			require.Len(t, slices.Compact(slices.Clone(numbers)), len(numbers), "each once")
			var quarters [4]int
			for _, n := range numbers {
				quarters[n*4/(3_600_000+1)]++
			}
			require.InDelta(t, len(numbers)/4, quarters[0], float64(wanted)/16+16, "%v", quarters)
			for _, late := range quarters[2:] { // the second holds the five minutes without
				require.InDelta(t, len(numbers)*9/32, late, float64(wanted)/16+16, "%v", quarters)
			}
		}
	}
}

// Where there are hardly more than can be read, places overlap, and no trace is read twice.
func TestSampleOfMost(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	window := tracestore.AggregateQuery{Start: start, End: start.Add(110 * time.Millisecond)}
	s := sampling{
		reader: &evenly{start: start}, window: window, parts: []windowPart{{window.Start, window.End, 110}}, until: time.Now().Add(time.Minute),
		info: SampleInfo{All: 110},
	}
	times := make(map[int64]int)
	var mu sync.Mutex
	require.NoError(t, s.drawPlaces(t.Context(), 100, func(int) {}, func(_ int, r *analysis.Result) {
		mu.Lock()
		defer mu.Unlock()
		times[r.RootDuration]++
	}))
	require.Greater(t, len(times), 50)
	for n, count := range times {
		require.Equal(t, 1, count, n)
	}
}

// Where there are no more than can be read, all are; what is gone or too large is left out.
func TestSampleOfAll(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	window := tracestore.AggregateQuery{Start: start, End: start.Add(100 * time.Millisecond)}
	parts := []windowPart{{window.Start, window.End, 100}}
	one := &evenly{start: start, gone: map[pcommon.TraceID]bool{}}
	one.gone[one.id(5)] = true
	bulk := &together{evenly: one}
	for _, reader := range []tracestore.Reader{one, bulk} {
		s := sampling{window: window, parts: parts, until: time.Now().Add(time.Minute)}
		require.Len(t, drawn(t, reader, &s), 99)
		require.Equal(t, SampleInfo{All: 100, Traces: 99}, s.info)
	}
	require.Equal(t, 7, bulk.calls, "16 at a time")

	one.large = true
	s := sampling{window: window, parts: parts, until: time.Now().Add(time.Minute)}
	require.Empty(t, drawn(t, one, &s))
	require.Equal(t, SampleInfo{All: 100, TooLarge: 100}, s.info)

	one.large = false
	over := sampling{window: window, parts: parts, until: time.Now()}
	require.Empty(t, drawn(t, one, &over))
	require.True(t, over.info.Cut)

	one.broken = errBroken
	s = sampling{reader: one, window: window, parts: parts, until: time.Now().Add(time.Minute)}
	require.ErrorIs(t, s.draw(t.Context(), func(int) {}, func(int, *analysis.Result) {}), errBroken)
}

// Whatever their number, each is there once, and the first half of them is spread over all.
func TestSpread(t *testing.T) {
	require.Empty(t, spread(0))
	for _, n := range []int{1, 2, 16, 17, 100, 1601} {
		order := spread(n)
		half := slices.Clone(order[:n/2])
		late := len(slices.DeleteFunc(half, func(i int) bool { return i < n/2 }))
		require.InDelta(t, n/4, late, float64(n)/10+1)
		slices.Sort(order)
		for i, at := range order {
			require.Equal(t, i, at)
		}
	}
}

func TestSteps(t *testing.T) {
	start := time.Date(2026, 1, 2, 11, 0, 30, 0, time.UTC)
	for length, want := range map[time.Duration]struct {
		parts int
		of    time.Duration
	}{
		time.Second: {1, time.Minute}, 29 * time.Minute: {30, time.Minute}, 30 * time.Minute: {16, 2 * time.Minute}, 24 * time.Hour: {30, 49 * time.Minute},
		200 * 365 * 24 * time.Hour: {30, 3504001 * time.Minute},
	} {
		window := tracestore.AggregateQuery{Start: start, End: start.Add(length)}
		parts := steps(&window)
		require.Len(t, parts, want.parts, length)
		require.Equal(t, want.of, parts[0].End.Sub(parts[0].Start), length)
		first, end := window.Minutes()
		require.Equal(t, first, parts[0].Start)
		require.Equal(t, end, parts[len(parts)-1].End)
		for i := 1; i < len(parts); i++ {
			require.Equal(t, parts[i-1].End, parts[i].Start)
		}
	}
	require.Empty(t, steps(&tracestore.AggregateQuery{Start: start.Truncate(time.Minute), End: start.Truncate(time.Minute)}))
}

// A sample holds one trace at a time for each reader, gives back what it held, and goes without what others leave no memory for.
func TestSampleTakesItsShare(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	window := tracestore.AggregateQuery{Start: start, End: start.Add(100 * time.Millisecond)}
	for _, reader := range []tracestore.Reader{&evenly{start: start}, &together{evenly: &evenly{start: start}}} {
		memory := &Memory{PerRequest: 1000, Total: 1000}
		ctx, end := memory.Begin(t.Context())
		sample := func() *sampling {
			s := &sampling{reader: reader, window: window, parts: []windowPart{{window.Start, window.End, 100}}, until: time.Now().Add(time.Minute)}
			require.NoError(t, s.draw(ctx, func(int) {}, func(int, *analysis.Result) { require.Less(t, memory.held.Load(), int64(500)) }))
			return s
		}
		require.Equal(t, 100, sample().info.Traces)
		require.Zero(t, memory.held.Load())
		_, endOther := memory.Begin(t.Context())
		memory.held.Add(2000) // as much as another request holds
		require.Equal(t, SampleInfo{All: 100, TooLarge: 100}, sample().info)
		require.EqualValues(t, 2000, memory.held.Load())
		endOther()
		end()
	}
}
