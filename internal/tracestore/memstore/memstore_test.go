package memstore_test

import (
	"testing"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, settings storetest.Settings) tracestore.Backend {
		return memstore.New(settings.Retention, settings.Now)
	})
}
