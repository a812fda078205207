package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// tell are the traces that a tail was told of by now.
func tell(tail *tracestore.Tail) (traces []byte) {
	for {
		select {
		case row := <-tail.Rows:
			traces = append(traces, row.TraceID[15])
		default:
			return traces
		}
	}
}

// testTail follows a store that can be followed: what WriteCall has stored was told when it returns, once, and to those whom it concerns.
func testTail(t *testing.T, store Store) {
	tailer, ok := store.(tracestore.Tailer)
	if !ok {
		return
	}
	write(t, store, explained(call(lone(9, 0))))
	all := tailer.Tail("", &tracestore.Conditions{}, 100)
	defer all.Close()
	stock := tailer.Tail("", &tracestore.Conditions{Span: tracestore.SpanConditions{Service: "stock", MinDuration: time.Second}}, 100)
	defer stock.Close()
	theirs := tailer.Tail("other", &tracestore.Conditions{}, 100)
	defer theirs.Close()
	full := tailer.Tail("", &tracestore.Conditions{}, 1)
	defer full.Close()

	late := span{trace: 1, id: 2, parent: 1, service: "stock", name: "take", to: time.Second, version: 2, outcome: "late"}
	other := lone(3, 0)
	other.tenant = "other"
	first := explained(call(lone(1, 0), lone(2, 0), other))
	write(t, store, first)
	want := search(t, store, "", wholeDay()).Traces
	row := <-all.Rows
	require.Contains(t, want, row, "the row is that of a search")
	require.Equal(t, []byte{2}, tell(all))
	require.Equal(t, []byte{3}, tell(theirs))
	require.Empty(t, tell(stock))

	write(t, store, explained(call(late)), first) // the second is known
	require.Equal(t, []byte{1}, tell(all), "a late fragment is told of by itself")
	require.Equal(t, []byte{1}, tell(stock))
	require.Empty(t, tell(theirs))
	require.Equal(t, []byte{1}, tell(full))
	require.EqualValues(t, 2, full.Missed())
}
