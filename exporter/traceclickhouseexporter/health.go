package traceclickhouseexporter

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// health tells the host how the exporter does: it fails recoverably from an attempt that fails to one that succeeds.
type health struct {
	host   component.Host
	logger *zap.Logger
	gauge  metric.Int64Gauge // 1 while it fails

	mu      sync.Mutex // guards failing; held while reporting, so that reports come in order
	failing string     // why; empty while all is well
}

func newHealth(host component.Host, logger *zap.Logger, gauge metric.Int64Gauge) *health {
	gauge.Record(context.Background(), 0)
	return &health{host: host, logger: logger, gauge: gauge}
}

// report takes the outcome of an attempt. It says the same once.
func (h *health) report(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) { // somebody stopped it
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && h.failing != "":
		h.failing = ""
		h.gauge.Record(ctx, 0)
		h.logger.Info("ClickHouse is written again")
		componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
	case err != nil && h.failing != err.Error():
		if h.failing == "" {
			h.gauge.Record(ctx, 1)
			h.logger.Error("ClickHouse cannot be written; calls are repeated until it can", zap.Error(err))
		}
		h.failing = err.Error()
		componentstatus.ReportStatus(h.host, componentstatus.NewRecoverableErrorEvent(err))
	}
}
