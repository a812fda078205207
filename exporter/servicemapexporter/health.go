package servicemapexporter

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
)

// health tells the host how the exporter does: it fails recoverably from an attempt that fails to one that succeeds.
type health struct {
	host   component.Host
	logger *zap.Logger

	mu      sync.Mutex // guards failing; held while reporting, so that reports come in order
	failing string     // why; empty while all is well
}

func newHealth(host component.Host, logger *zap.Logger) *health {
	return &health{host: host, logger: logger}
}

// report takes the outcome of an attempt. It says the same once.
func (h *health) report(err error) {
	if errors.Is(err, context.Canceled) { // somebody stopped it
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && h.failing != "":
		h.failing = ""
		h.logger.Info("the service map is written again")
		componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
	case err != nil && h.failing != err.Error():
		if h.failing == "" {
			h.logger.Error("the service map cannot be written; calls are repeated until it can", zap.Error(err))
		}
		h.failing = err.Error()
		componentstatus.ReportStatus(h.host, componentstatus.NewRecoverableErrorEvent(err))
	}
}

func (h *health) isFailing() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing != "" {
		return 1
	}
	return 0
}
