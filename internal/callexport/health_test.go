package callexport

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// told is a host, and a gauge, that remember what they are told.
type told struct {
	embedded.Int64Gauge
	events []componentstatus.Event
	values []int64
}

func (*told) GetExtensions() map[component.ID]component.Component { return nil }

func (h *told) Report(event *componentstatus.Event) { h.events = append(h.events, *event) }

func (h *told) Record(_ context.Context, value int64, _ ...metric.RecordOption) {
	h.values = append(h.values, value)
}

func (*told) Enabled(context.Context) bool { return true }

// TestHealth: each change is told once, another reason to the host alone, and what somebody stopped to nobody.
func TestHealth(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	host := &told{}
	h := NewHealth(host, zap.New(core), "the server", host)
	away, full := errors.New("away"), errors.New("full")
	for _, err := range []error{nil, away, away, full, context.Canceled, nil, nil, away} {
		h.Report(t.Context(), err)
	}
	var statuses []componentstatus.Status
	var reasons []error
	for i := range host.events {
		statuses = append(statuses, host.events[i].Status())
		reasons = append(reasons, host.events[i].Err())
	}
	const failing = componentstatus.StatusRecoverableError
	require.Equal(t, []componentstatus.Status{failing, failing, componentstatus.StatusOK, failing}, statuses)
	require.Equal(t, []error{away, full, nil, away}, reasons)
	require.Equal(t, []int64{0, 1, 0, 1}, host.values)
	var messages []string
	for _, entry := range logs.All() {
		messages = append(messages, entry.Message)
	}
	const cannot = "the server cannot be written; calls are repeated until it can"
	require.Equal(t, []string{cannot, "the server is written again", cannot}, messages)
}
