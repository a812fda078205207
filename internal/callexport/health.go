package callexport

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// Health tells the host how an exporter does: it fails recoverably while a call fails, or its upkeep does. It is safe for concurrent use.
//
// Of the calls that fail it knows one: from its first attempt that fails until it is taken, or until it has not been tried for so long that
// somebody must have given it up. Another one that fails is known at its next attempt.
type Health struct {
	host   component.Host
	logger *zap.Logger
	target string            // what is written, for the log
	gauge  metric.Int64Gauge // 1 while it fails
	pause  time.Duration     // between two attempts of a call, at most

	mu     sync.Mutex // guards what follows; held while reporting, so that reports come in order
	call   tracetree.CallID
	tried  time.Time // when the call failed last
	failed error     // why; nil while no call fails
	upkeep error
	told   string // what the host was told last; empty while all is well
}

// NewHealth is that of an exporter that does not fail yet. target is what it writes, for the log; the gauge is 1 while it fails. An attempt
// lasts no longer than the timeout, if that is not 0.
func NewHealth(
	host component.Host, logger *zap.Logger, target string, gauge metric.Int64Gauge, retry *configretry.BackOffConfig, timeout time.Duration,
) *Health {
	gauge.Record(context.Background(), 0)
	h := &Health{host: host, logger: logger, target: target, gauge: gauge}
	if retry.Enabled {
		h.pause = 2*retry.MaxInterval + timeout // pauses are spread by half
	}
	return h
}

// Report takes the outcome of an attempt to write a call.
func (h *Health) Report(ctx context.Context, td ptrace.Traces, err error) {
	if errors.Is(err, context.Canceled) { // somebody stopped it
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && h.failed == nil {
		return
	}
	id, now := tracetree.NewCallID(tracetree.Releases(td)), time.Now()
	switch {
	case err == nil && (id == h.call || h.givenUp(now)):
		h.failed = nil
	case err != nil && (h.failed == nil || id == h.call || h.givenUp(now)):
		h.call, h.tried, h.failed = id, now, err
	}
	h.tell(ctx)
}

// ReportUpkeep takes the outcome of looking after what is stored.
func (h *Health) ReportUpkeep(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.upkeep = err; err == nil && h.givenUp(time.Now()) {
		h.failed = nil
	}
	h.tell(ctx)
}

// givenUp says that nobody repeats the call that failed.
func (h *Health) givenUp(now time.Time) bool { return now.Sub(h.tried) >= h.pause }

// tell says what has changed, the same once.
func (h *Health) tell(ctx context.Context) {
	err, cannot := h.failed, " cannot be written; calls are repeated until it can"
	if err == nil {
		err, cannot = h.upkeep, " is not looked after"
	}
	switch {
	case err == nil && h.told != "":
		h.told = ""
		h.gauge.Record(ctx, 0)
		h.logger.Info(h.target + " is well again")
		componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
	case err != nil && h.told != err.Error():
		if h.told == "" {
			h.gauge.Record(ctx, 1)
			h.logger.Error(h.target+cannot, zap.Error(err))
		}
		h.told = err.Error()
		componentstatus.ReportStatus(h.host, componentstatus.NewRecoverableErrorEvent(err))
	}
}
