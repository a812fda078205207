package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// next is the next row of a tail, which may take seconds.
func next(t *testing.T, tail *tracestore.Tail) tracestore.Summary {
	t.Helper()
	select {
	case row := <-tail.Rows:
		return row
	case <-time.After(30 * time.Second):
		require.Fail(t, "the tail is not told")
		return tracestore.Summary{}
	}
}

// toldUntil are the traces that a tail was told of until that of the last one.
func toldUntil(t *testing.T, tail *tracestore.Tail, last byte) (traces []byte) {
	t.Helper()
	for {
		traces = append(traces, next(t, tail).TraceID[15])
		if traces[len(traces)-1] == last {
			return traces
		}
	}
}

// testTail follows a store that can be followed: what WriteCall has stored is told, once, and to those whom it concerns.
func testTail(t *testing.T, store Store) {
	tailer, ok := part[tracestore.Tailer](store)
	if !ok {
		return
	}
	follow := func(tenant string, where tracestore.Conditions, size int) *tracestore.Tail {
		tail, err := tailer.Tail(t.Context(), tenant, &where, size)
		require.NoError(t, err)
		t.Cleanup(tail.Close)
		return tail
	}
	write(t, store, explained(call(lone(9, 0))))
	all := follow("", tracestore.Conditions{}, 100)
	stock := follow("", tracestore.Conditions{Span: tracestore.SpanConditions{Service: "stock", MinDuration: time.Second}}, 100)
	theirs := follow("other", tracestore.Conditions{}, 100)
	full := follow("", tracestore.Conditions{}, 1)

	of := func(tenant string, s span) span { s.tenant = tenant; return s }
	first := explained(call(lone(1, 0), lone(2, 0), of("other", lone(3, 0))))
	write(t, store, first)
	require.Contains(t, search(t, store, "", wholeDay()).Traces, next(t, all), "the row is that of a search")
	require.EqualValues(t, 2, next(t, all).TraceID[15])
	second := follow("", tracestore.Conditions{}, 100)

	stocked := func(trace byte) span {
		return span{trace: trace, id: 2, parent: 1, service: "stock", name: "take", to: time.Second, version: 2, outcome: "late"}
	}
	write(t, store, explained(call(stocked(1))), first) // the second is known
	write(t, store, explained(call(lone(4, 0))), explained(call(stocked(5), of("other", lone(6, 0)))))
	require.Equal(t, []byte{1, 4, 5}, toldUntil(t, all, 5), "a late fragment is told of by itself")
	require.Equal(t, []byte{1, 4, 5}, toldUntil(t, second, 5), "who comes later is told what is stored from then on")
	require.Equal(t, []byte{1, 5}, toldUntil(t, stock, 5))
	require.Equal(t, []byte{3, 6}, toldUntil(t, theirs, 6))
	require.Eventually(t, func() bool { return full.Missed() == 4 }, 30*time.Second, time.Millisecond)
	require.EqualValues(t, 1, next(t, full).TraceID[15])
}
