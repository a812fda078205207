package clickhousestore

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// losses are what the columns of the exporter cannot hold; docs/production.md names them.
var losses = storetest.Losses{
	storetest.LostTypes, storetest.LostOrder, storetest.LostFlags, storetest.LostDroppedCounts, storetest.LostScopeAttributes, storetest.LostSchemaURLs,
	storetest.LostDistance, storetest.LostUnknownNumbers,
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

func TestTraces(t *testing.T) {
	storetest.RunTraces(t, func(t *testing.T, settings storetest.Settings) storetest.Store {
		options := testOptions(t)
		store := openStore(t, options)
		// The suite's clock stands, and the server's does not: its tables keep everything.
		store.options.Retention = settings.Retention
		return backend{Store: store, writer: newWriter(t, options), now: settings.Now}
	}, losses...)
}
