package servicemapexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/callexport"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
)

// maintenanceInterval is how often what is stored is looked after; of several exporters one does it.
const maintenanceInterval = time.Minute

// mapExporter writes calls and looks after what is stored.
type mapExporter struct {
	config    *Config
	telemetry component.TelemetrySettings

	// Since start; nil before.
	writer   *neo4jmap.Writer
	health   *callexport.Health
	observer *observer
	stop     context.CancelFunc
	wait     sync.WaitGroup // for the goroutine that maintains
}

// start connects to nothing: Neo4j may be down.
func (e *mapExporter) start(ctx context.Context, host component.Host) error {
	writer, err := neo4jmap.NewWriter(ctx, &e.config.Neo4j, neo4jmap.Options{
		MaxVirtualNodes: e.config.MaxVirtualNodes,
		Minutes:         e.config.Minutes,
		Retention:       e.config.Retention,
		CallIDRetention: e.config.CallIDRetention,
	})
	if err != nil {
		return err
	}
	e.writer = writer
	if e.observer, err = observe(e.telemetry, writer); err != nil {
		return errors.Join(err, writer.Close(ctx))
	}
	e.health = callexport.NewHealth(host, e.telemetry.Logger, "the service map", e.observer.builder.ExporterServiceMapFailing,
		&e.config.Retry, e.config.Timeout.Timeout)
	running, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.wait.Go(func() { e.maintain(running) })
	return nil
}

// consume commits one call.
func (e *mapExporter) consume(ctx context.Context, td ptrace.Traces) error {
	err := e.writer.WriteCall(ctx, td)
	if err != nil {
		err = fmt.Errorf("write the service map: %w", err)
	}
	e.health.Report(ctx, td, err)
	return err
}

// maintain looks after what is stored, at once and from time to time. So the state of a Neo4j that nothing is written to is
// known too.
func (e *mapExporter) maintain(ctx context.Context) {
	ticker := time.NewTicker(maintenanceInterval)
	defer ticker.Stop()
	for {
		err := e.writer.Maintain(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil, errors.Is(err, servicemap.ErrUnavailable), errors.Is(err, neo4jmap.ErrClocks):
			e.health.ReportUpkeep(ctx, err)
		default: // such as a statement that took too long; it is tried again
			e.telemetry.Logger.Warn("the service map was not maintained", zap.Error(err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// shutdown is called after the queue has stopped.
func (e *mapExporter) shutdown(ctx context.Context) error {
	if e.writer == nil {
		return nil
	}
	e.stop()
	e.wait.Wait()
	err := errors.Join(e.observer.stop(), e.writer.Close(ctx))
	e.writer = nil
	return err
}
