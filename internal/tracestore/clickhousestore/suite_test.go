package clickhousestore

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// losses are what the columns of the exporter cannot hold; docs/production.md names them.
var losses = storetest.Losses{
	storetest.LostTypes, storetest.LostOrder, storetest.LostFlags, storetest.LostDroppedCounts, storetest.LostScopeAttributes, storetest.LostSchemaURLs,
	storetest.LostDistance, storetest.LostUnknownNumbers, storetest.LostUnanalysed,
}

// backend is a store with the exporter that writes it.
type backend struct {
	*Store
	writer writer
	now    func() time.Time
}

// WriteCall stands in for the server's clock, which cannot be set, where the call says no time of release.
func (b backend) WriteCall(ctx context.Context, td ptrace.Traces) error {
	for _, rs := range td.ResourceSpans().All() {
		if _, released := rs.Resource().Attributes().Get(conventions.AttrReleasedAt); !released {
			stamped := ptrace.NewTraces()
			td.CopyTo(stamped)
			for _, rs := range stamped.ResourceSpans().All() {
				rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, b.now().UnixNano())
			}
			td = stamped
			break
		}
	}
	return b.writer.WriteCall(ctx, td)
}

// openBackend opens stores that have all migrations, or those up to one.
func openBackend(upTo int) storetest.Open {
	return func(t *testing.T, settings storetest.Settings) storetest.Store {
		options := testOptions(t)
		options.upTo, options.tailInterval = upTo, 50*time.Millisecond
		store := openStore(t, options)
		// The suite's clock stands, and the server's does not: its tables keep everything.
		store.options.Retention = settings.Retention
		return backend{Store: store, writer: newWriter(t, options), now: settings.Now}
	}
}

// Traces need the tables of the first two migrations.
func TestTraces(t *testing.T) { storetest.RunTraces(t, openBackend(2), losses...) }

func TestCatalogue(t *testing.T) { storetest.RunCatalogue(t, openBackend(0), losses...) }

func TestAggregates(t *testing.T) { storetest.RunAggregates(t, openBackend(0), losses...) }

func TestSources(t *testing.T) {
	storetest.RunSources(t, func(t *testing.T) (tracestore.SourceKeeper, func() tracestore.SourceKeeper) {
		options := testOptions(t)
		open := func() tracestore.SourceKeeper { return openStore(t, options) }
		return open(), open
	})
}
