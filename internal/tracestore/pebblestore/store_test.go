package pebblestore

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, settings storetest.Settings) storetest.Store {
		return openStore(t, Options{Path: t.TempDir(), Retention: settings.Retention, Now: settings.Now})
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
