package memstore_test

import (
	"testing"

	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, settings storetest.Settings) storetest.Store {
		return memstore.New(settings.Retention, settings.Now)
	})
}

// TestModel: the suite's steps are sound where the model is held against itself.
func TestModel(t *testing.T) {
	storetest.RunModel(t, func(_ *testing.T, settings storetest.Settings) (storetest.Store, func() storetest.Store) {
		store := memstore.New(settings.Retention, settings.Now)
		return store, func() storetest.Store { return store }
	}, 1, 100)
}
