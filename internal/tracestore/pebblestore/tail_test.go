package pebblestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Who follows is told when the store closes, and a closed store has nothing to tell.
func TestTailsEndWithTheStore(t *testing.T) {
	store, err := Open(Options{Path: t.TempDir(), Now: atNoon})
	require.NoError(t, err)
	tail, err := store.Tail(t.Context(), "", &tracestore.Conditions{}, 10)
	require.NoError(t, err)
	defer tail.Close()
	require.NoError(t, store.WriteCall(t.Context(), newCall(noon, 0, 3, 2)))
	require.Len(t, tail.Rows, 3, "what is durable was told when WriteCall returned")
	require.NoError(t, store.Close())
	<-tail.Ended
	tail, err = store.Tail(t.Context(), "", &tracestore.Conditions{}, 10)
	require.NoError(t, err)
	<-tail.Ended
}

// A full tail does not hold up writers.
func TestFullTail(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Retention: time.Hour, Now: atNoon})
	tail := store.tails.Tail("", &tracestore.Conditions{}, 1)
	defer tail.Close()
	td := newCall(noon, 0, 3, 2)
	for n := range 4 {
		renumber(td, n)
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	require.Len(t, tail.Rows, 1)
	require.EqualValues(t, 11, tail.Missed())
}
