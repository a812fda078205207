package pebblestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, settings storetest.Settings) storetest.Store {
		return openStore(t, Options{Path: t.TempDir(), Retention: settings.Retention, Now: settings.Now, catalogueTime: time.Minute})
	})
}

func TestSources(t *testing.T) {
	storetest.RunSources(t, func(t *testing.T) (tracestore.SourceKeeper, func() tracestore.SourceKeeper) {
		path := t.TempDir()
		store := openStore(t, Options{Path: path})
		return store, func() tracestore.SourceKeeper {
			require.NoError(t, store.Close())
			store = openStore(t, Options{Path: path})
			return store
		}
	})
}

// openStore opens a store that is closed when the test ends.
func openStore(t testing.TB, options Options) *Store {
	t.Helper()
	store, err := Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}
