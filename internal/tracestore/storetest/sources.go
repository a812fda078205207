package storetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// OpenSources opens an empty keeper of sources. reopen closes it and opens what it left behind, where it is durable.
type OpenSources func(t *testing.T) (keeper tracestore.SourceKeeper, reopen func() tracestore.SourceKeeper)

// RunSources is the specification of tracestore.SourceKeeper.
func RunSources(t *testing.T, open OpenSources) {
	t.Run("changes follow one another", func(t *testing.T) { testSourceVersions(t, open) })
	t.Run("of changes at a time one counts", func(t *testing.T) { testSourceRace(t, open) })
	t.Run("a change and a removal at a time", func(t *testing.T) { testSourceRemovalRace(t, open) })
	t.Run("reports of instances", func(t *testing.T) { testSourceReports(t, open) })
	t.Run("a context that has ended", func(t *testing.T) { testSourceContexts(t, open) })
}

func listSources(t *testing.T, keeper tracestore.SourceKeeper) []tracestore.SourceRecord {
	t.Helper()
	records, err := keeper.Sources(t.Context())
	require.NoError(t, err)
	slices.SortFunc(records, func(a, b tracestore.SourceRecord) int { return strings.Compare(a.Name, b.Name) })
	return records
}

func testSourceVersions(t *testing.T, open OpenSources) {
	keeper, reopen := open(t)
	record := func(name string, version int64, value string) tracestore.SourceRecord {
		return tracestore.SourceRecord{Name: name, Version: version, Value: []byte(value)}
	}
	put := func(r tracestore.SourceRecord) error { return keeper.PutSource(t.Context(), r) }
	drop := func(name string, version int64) error { return keeper.DeleteSource(t.Context(), name, version) }
	require.Empty(t, listSources(t, keeper))

	require.NoError(t, put(record("b", 1, "one")))
	require.ErrorIs(t, put(record("b", 1, "again")), tracestore.ErrSourceVersion)
	require.ErrorIs(t, put(record("b", 3, "skips")), tracestore.ErrSourceVersion)
	require.ErrorIs(t, put(record("a", 2, "of nothing")), tracestore.ErrSourceVersion)
	require.NoError(t, put(record("b", 2, "two")))
	require.ErrorIs(t, put(record("b", 2, "late")), tracestore.ErrSourceVersion)
	require.NoError(t, put(record("a", 1, "")))
	require.NoError(t, put(record("ab", 1, "begins like another")))
	odd := record("c\x00'`\\\"\xff ?", 1, "\x00\xff'")
	require.NoError(t, put(odd))

	for range 2 {
		listed := listSources(t, keeper)
		require.Len(t, listed, 4)
		require.Empty(t, listed[0].Value)
		listed[0].Value = nil
		require.Equal(t, []tracestore.SourceRecord{{Name: "a", Version: 1}, record("ab", 1, "begins like another"), record("b", 2, "two"), odd}, listed)
		keeper = reopen()
	}

	require.ErrorIs(t, drop("b", 1), tracestore.ErrSourceVersion)
	require.ErrorIs(t, drop("nobody", 1), tracestore.ErrSourceVersion)
	require.ErrorIs(t, drop("nobody", 0), tracestore.ErrSourceVersion)
	require.NoError(t, drop("b", 2))
	require.ErrorIs(t, drop("b", 2), tracestore.ErrSourceVersion)
	require.ErrorIs(t, put(record("b", 3, "of what is gone")), tracestore.ErrSourceVersion)
	keeper = reopen()
	require.Len(t, listSources(t, keeper), 3)
	require.NoError(t, put(record("b", 1, "anew")))
	require.Equal(t, record("b", 1, "anew"), listSources(t, keeper)[2])
}

// testSourceRace: many change one source from the same version.
func testSourceRace(t *testing.T, open OpenSources) {
	keeper, _ := open(t)
	for version := int64(1); version <= 5; version++ {
		var wg sync.WaitGroup
		var won atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				err := keeper.PutSource(t.Context(), tracestore.SourceRecord{Name: "s", Version: version, Value: []byte{byte(i)}})
				if err == nil {
					won.Add(1)
				} else {
					assert.ErrorIs(t, err, tracestore.ErrSourceVersion)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), won.Load())
		require.Equal(t, version, listSources(t, keeper)[0].Version)
	}
}

// testSourceRemovalRace: some change a source and some remove it, over and over, longer than any storage remembers single changes.
func testSourceRemovalRace(t *testing.T, open OpenSources) {
	keeper, _ := open(t)
	for range 20 {
		require.NoError(t, keeper.PutSource(t.Context(), tracestore.SourceRecord{Name: "s", Version: 1}))
		var wg sync.WaitGroup
		var changed, removed atomic.Int64
		for i := range 4 {
			wg.Go(func() {
				var err error
				won := &changed
				if i%2 == 0 {
					err = keeper.PutSource(t.Context(), tracestore.SourceRecord{Name: "s", Version: 2})
				} else {
					err, won = keeper.DeleteSource(t.Context(), "s", 1), &removed
				}
				if err == nil {
					won.Add(1)
				} else {
					assert.ErrorIs(t, err, tracestore.ErrSourceVersion)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), changed.Load()+removed.Load())
		require.Len(t, listSources(t, keeper), int(changed.Load()))
		if changed.Load() == 1 {
			require.NoError(t, keeper.DeleteSource(t.Context(), "s", 2))
		}
	}
}

func testSourceReports(t *testing.T, open OpenSources) {
	keeper, _ := open(t)
	at := time.Now().UTC().Truncate(time.Millisecond)
	for _, report := range []tracestore.SourceReport{
		{Instance: "a", At: at.Add(-time.Second), Value: []byte("old")},
		{Instance: "b", At: at, Value: []byte("other")},
		{Instance: "a", At: at, Value: []byte("new")},
	} {
		require.NoError(t, keeper.PutSourceReport(t.Context(), report))
	}
	reports, err := keeper.SourceReports(t.Context())
	require.NoError(t, err)
	slices.SortFunc(reports, func(a, b tracestore.SourceReport) int { return strings.Compare(a.Instance, b.Instance) })
	require.Len(t, reports, 2)
	require.True(t, reports[0].At.Equal(at))
	require.Equal(t, "new", string(reports[0].Value))
	require.Equal(t, "other", string(reports[1].Value))
}

func testSourceContexts(t *testing.T, open OpenSources) {
	keeper, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, keeper.PutSource(ctx, tracestore.SourceRecord{Name: "s", Version: 1}), context.Canceled)
	_, err := keeper.Sources(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, listSources(t, keeper))
}
