package tracestoreexporter

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/handback"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// storeExporter writes into one backend.
type storeExporter struct {
	key     string // of the configuration, for errors
	storage string

	backend tracestore.Writer // since start
}

func (e *storeExporter) start(_ context.Context, host component.Host) error {
	provider, err := tracestore.FindProvider(host, e.key, e.storage)
	if err != nil {
		return err
	}
	backend, err := provider.Backend(e.storage)
	if err != nil {
		return fmt.Errorf("%s: open storage %q: %w", e.key, e.storage, err)
	}
	writer, ok := backend.(tracestore.Writer)
	if !ok {
		return fmt.Errorf("%s: storage %q is only read here; a ClickHouse is written by the trace_clickhouse exporter", e.key, e.storage)
	}
	e.backend = writer
	return nil
}

// consume stores one call. The backend marks what will not go away by repeating as permanent.
func (e *storeExporter) consume(ctx context.Context, td ptrace.Traces) error {
	if err := e.backend.WriteCall(ctx, td); err != nil {
		return fmt.Errorf("store call in %q: %w", e.storage, err)
	}
	handback.Return(ctx, td) // a storage keeps nothing of what it is given
	return nil
}
