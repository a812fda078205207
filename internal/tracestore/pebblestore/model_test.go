package pebblestore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// TestModel holds the store against memstore over random steps, reopenings among them.
func TestModel(t *testing.T) {
	storetest.RunModel(t, func(t *testing.T, settings storetest.Settings) (tracestore.Backend, func() tracestore.Backend) {
		options := Options{Path: t.TempDir(), Retention: settings.Retention, Now: settings.Now}
		store := openStore(t, options)
		return store, func() tracestore.Backend {
			require.NoError(t, store.Close())
			store = openStore(t, options)
			return store
		}
	}, 4, 150)
}
