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

	start    time.Time
	large    bool
	searches int
	gone     map[pcommon.TraceID]bool
	broken   error
}

func (e *evenly) id(n int64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n+1))
	return id
}

func (e *evenly) Search(_ context.Context, _ string, query *tracestore.SearchQuery) (page tracestore.SearchPage, err error) {
	e.searches++
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

func TestSampleIsSpread(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	window := tracestore.AggregateQuery{Start: start, End: start.Add(time.Hour)}
	const all, wanted = 3_600_000, 400
	one := &evenly{start: start}
	for name, reader := range map[string]tracestore.Reader{"one by one": one, "together": &together{evenly: one}} {
		s := sampling{window: window, until: time.Now().Add(time.Minute), info: SampleInfo{All: all}}
		s.reader = reader
		ids, err := s.choose(t.Context(), wanted)
		require.NoError(t, err)
		require.InDelta(t, wanted, len(ids), sampleSlots, name)
		numbers := make([]int64, len(ids))
		require.NoError(t, s.readAll(t.Context(), ids, func(place int, r *analysis.Result) { numbers[place] = r.RootDuration }))
		require.NotContains(t, numbers, int64(0), name)
		require.Equal(t, SampleInfo{All: all, Traces: len(ids)}, s.info)
		slices.Sort(numbers)
		require.Len(t, slices.Compact(numbers), len(ids), "each once")
		quarters := [4]int{}
		for _, n := range numbers {
			quarters[n*4/(all+1)]++
		}
		for _, count := range quarters {
			require.InDelta(t, wanted/4, count, wanted/8, "%v", quarters)
		}
	}
}

// Where there are no more than can be read, all are; what is gone or too large is left out.
func TestSampleOfAll(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	window := tracestore.AggregateQuery{Start: start, End: start.Add(100 * time.Millisecond)}
	one := &evenly{start: start, gone: map[pcommon.TraceID]bool{}}
	one.gone[one.id(5)] = true
	bulk := &together{evenly: one}
	for _, reader := range []tracestore.Reader{one, bulk} {
		s := sampling{window: window, until: time.Now().Add(time.Minute), info: SampleInfo{All: 100}}
		require.Len(t, drawn(t, reader, &s), 99)
		require.Equal(t, SampleInfo{All: 100, Traces: 99}, s.info)
	}
	require.Equal(t, 7, bulk.calls, "16 at a time")

	one.large = true
	s := sampling{window: window, until: time.Now().Add(time.Minute), info: SampleInfo{All: 100}}
	require.Empty(t, drawn(t, one, &s))
	require.Equal(t, SampleInfo{All: 100, TooLarge: 100}, s.info)

	one.large = false
	over := sampling{window: window, until: time.Now(), info: SampleInfo{All: 100}}
	require.Empty(t, drawn(t, one, &over))
	require.True(t, over.info.Cut)

	one.broken = errBroken
	s = sampling{reader: one, window: window, until: time.Now().Add(time.Minute), info: SampleInfo{All: 100}}
	require.ErrorIs(t, s.draw(t.Context(), func(int) {}, func(int, *analysis.Result) {}), errBroken)
}

// Whatever their number, groups hold each trace once, and the first half of them is spread over all.
func TestGroups(t *testing.T) {
	require.Empty(t, groups(nil))
	for _, n := range []int{1, 15, 16, 17, 400, 1601} {
		ids := make([]pcommon.TraceID, n)
		for i := range ids {
			binary.BigEndian.PutUint64(ids[i][:], uint64(i+1))
		}
		seen := make([]bool, n)
		list := groups(slices.Clone(ids))
		for at, g := range list {
			for i, id := range g.ids {
				require.Equal(t, ids[g.place+i], id)
				require.False(t, seen[g.place+i])
				seen[g.place+i] = true
			}
			if len(list) > 20 && at == len(list)/2 {
				behind := 0
				for i := n / 2; i < n; i++ {
					if seen[i] {
						behind++
					}
				}
				require.InDelta(t, n/4, behind, float64(n)/16)
			}
		}
		require.NotContains(t, seen, false)
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
