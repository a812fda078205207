package callexport

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// Health tells the host how an exporter does: it fails recoverably from an attempt that fails to one that succeeds. It is safe for concurrent use.
type Health struct {
	host   component.Host
	logger *zap.Logger
	target string            // what is written, for the log
	gauge  metric.Int64Gauge // 1 while it fails

	mu      sync.Mutex // guards failing; held while reporting, so that reports come in order
	failing string     // why; empty while all is well
}

// NewHealth is that of an exporter that does not fail yet. target is what it writes, for the log; the gauge is 1 while it fails.
func NewHealth(host component.Host, logger *zap.Logger, target string, gauge metric.Int64Gauge) *Health {
	gauge.Record(context.Background(), 0)
	return &Health{host: host, logger: logger, target: target, gauge: gauge}
}

// Report takes the outcome of an attempt. It says the same once.
func (h *Health) Report(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) { // somebody stopped it
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && h.failing != "":
		h.failing = ""
		h.gauge.Record(ctx, 0)
		h.logger.Info(h.target + " is written again")
		componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
	case err != nil && h.failing != err.Error():
		if h.failing == "" {
			h.gauge.Record(ctx, 1)
			h.logger.Error(h.target+" cannot be written; calls are repeated until it can", zap.Error(err))
		}
		h.failing = err.Error()
		componentstatus.ReportStatus(h.host, componentstatus.NewRecoverableErrorEvent(err))
	}
}
