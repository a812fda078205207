package rollupmap_test

import (
	"testing"
	"time"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/rollupmap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

func TestReader(t *testing.T) {
	servicemaptest.Run(t, func(_ *testing.T, now func() time.Time) (servicemap.Reader, servicemaptest.Writer) {
		store := memstore.New(time.Hour, now)
		return rollupmap.New(store), store
	})
}
