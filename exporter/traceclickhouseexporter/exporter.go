package traceclickhouseexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/exporter/traceclickhouseexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/callexport"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

type callID = tracetree.CallID

// traceExporter inserts calls, each into the tables where it counts once.
//
// A call is new unless this process has tried it before, or it was released before this process began: then another one may have tried it,
// and died.
type traceExporter struct {
	config    *Config
	telemetry component.TelemetrySettings
	// tables are clickhousestore's Table, and RepeatedTable and MissingTable where there are such.
	tables []exporter.Traces
	// schema is where the tables are; complete says that all were there when they were looked for.
	schema   clickhousestore.Options
	complete atomic.Bool

	// Since start.
	began   int64 // Unix nanoseconds
	health  *callexport.Health
	metrics *metadata.TelemetryBuilder

	mu sync.Mutex
	// tried are the calls whose last attempt failed; guarded by mu. They are as many as are being repeated, for none is given up.
	tried map[callID]struct{}
}

// start connects to nothing: ClickHouse may be down.
func (e *traceExporter) start(ctx context.Context, host component.Host) (err error) {
	if e.metrics, err = metadata.NewTelemetryBuilder(e.telemetry); err != nil {
		return fmt.Errorf("make metrics: %w", err)
	}
	e.health = callexport.NewHealth(host, e.telemetry.Logger, "ClickHouse", e.metrics.ExporterTraceClickhouseFailing, &e.config.Retry, e.config.Timeout.Timeout)
	e.began = time.Now().UnixNano()
	for _, table := range e.tables {
		if err := table.Start(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// consume inserts one call.
func (e *traceExporter) consume(ctx context.Context, td ptrace.Traces) error {
	id := tracetree.CallIDOf(td)
	if err := e.checkSchema(ctx); err != nil {
		e.health.Report(ctx, td, err)
		return err
	}
	tables := e.tables[:1]
	if e.mayRepeat(id, td) {
		e.metrics.ExporterTraceClickhouseRepeatedCalls.Add(ctx, 1)
		if len(e.tables) > 1 {
			tables = e.tables[1:]
		}
	}
	err := e.insert(ctx, id, td, tables)
	if clickhousestore.IsLost(err) { // they are being made again, perhaps
		e.complete.Store(false)
	}
	e.mu.Lock()
	if err != nil {
		e.tried[id] = struct{}{}
	} else {
		delete(e.tried, id)
	}
	e.mu.Unlock()
	e.health.Report(ctx, td, err)
	return err
}

// checkSchema fails until all tables were there once, and again when one of them is missing. trace_store makes them, of this gateway or another one, and a call that came meanwhile
// would be in some of them only.
func (e *traceExporter) checkSchema(ctx context.Context) error {
	if e.complete.Load() {
		return nil
	}
	if err := clickhousestore.CheckSchema(ctx, e.schema); err != nil {
		return fmt.Errorf("write to ClickHouse: %w", err)
	}
	e.complete.Store(true)
	return nil
}

func (e *traceExporter) insert(ctx context.Context, id callID, td ptrace.Traces, tables []exporter.Traces) error {
	for _, table := range tables {
		if err := clickhousestore.Insert(ctx, id, func(ctx context.Context) error { return table.ConsumeTraces(ctx, td) }); err != nil {
			return fmt.Errorf("write to ClickHouse: %w", err)
		}
	}
	return nil
}

func (e *traceExporter) mayRepeat(id callID, td ptrace.Traces) bool {
	e.mu.Lock()
	_, tried := e.tried[id]
	e.mu.Unlock()
	return tried || releasedAt(td) <= e.began
}

// releasedAt is when the call was released, in Unix nanoseconds; 0 where it does not say.
func releasedAt(td ptrace.Traces) int64 {
	if td.ResourceSpans().Len() == 0 {
		return 0
	}
	at, ok := td.ResourceSpans().At(0).Resource().Attributes().Get(conventions.AttrReleasedAt)
	if !ok {
		return 0
	}
	return at.Int()
}

// shutdown is called after the queue has stopped.
func (e *traceExporter) shutdown(ctx context.Context) error {
	var errs []error
	for _, table := range e.tables {
		errs = append(errs, table.Shutdown(ctx))
	}
	if e.metrics != nil {
		e.metrics.Shutdown()
	}
	return errors.Join(errs...)
}
