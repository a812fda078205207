package callexport

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configretry"
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

// TestHealth: each change is told once, another reason to the host alone, and what somebody stopped to nobody. A call fails until it is taken,
// or given up, whatever becomes of others; so does the upkeep.
func TestHealth(t *testing.T) {
	away, full, clocks := errors.New("away"), errors.New("full"), errors.New("clocks")
	type report struct {
		call  uint32 // 0 is the upkeep
		err   error
		after time.Duration
	}
	const cannot, well, upkeep = "the server cannot be written; calls are repeated until it can", "the server is well again", "the server is not looked after"
	for name, test := range map[string]struct {
		reports []report
		told    []error
		logged  []string
	}{
		"one call": {
			[]report{{1, nil, 0}, {1, away, 0}, {1, away, 0}, {1, full, 0}, {1, context.Canceled, 0}, {1, nil, 0}, {1, nil, 0}, {1, away, 0}},
			[]error{away, full, nil, away},
			[]string{cannot, well, cannot},
		},
		"others are taken":         {[]report{{1, full, 0}, {2, nil, 0}, {0, nil, 0}, {1, full, time.Minute}, {2, nil, time.Minute}}, []error{full}, []string{cannot}},
		"others fail too":          {[]report{{1, full, 0}, {2, away, 0}, {2, nil, 0}, {1, nil, 0}}, []error{full, nil}, []string{cannot, well}},
		"two fail":                 {[]report{{1, full, 0}, {2, away, 0}, {1, nil, 0}, {2, away, 0}}, []error{full, nil, away}, []string{cannot, well, cannot}},
		"given up, others taken":   {[]report{{1, full, 0}, {2, nil, 66 * time.Second}}, []error{full, nil}, []string{cannot, well}},
		"given up, another fails":  {[]report{{1, full, 0}, {2, away, 66 * time.Second}, {2, nil, 0}}, []error{full, away, nil}, []string{cannot, well}},
		"given up, upkeep is well": {[]report{{1, full, 0}, {0, nil, 66 * time.Second}}, []error{full, nil}, []string{cannot, well}},
		"upkeep fails":             {[]report{{0, clocks, 0}, {1, nil, 0}, {0, clocks, 0}, {0, nil, 0}}, []error{clocks, nil}, []string{upkeep, well}},
		"both fail":                {[]report{{0, away, 0}, {1, full, 0}, {1, nil, 0}, {0, nil, 0}}, []error{away, full, away, nil}, []string{upkeep, well}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logs := observer.New(zap.DebugLevel)
				host := &told{}
				h := NewHealth(host, zap.New(core), "the server", host, &configretry.BackOffConfig{Enabled: true, MaxInterval: 30 * time.Second}, 5*time.Second)
				for _, r := range test.reports {
					<-time.After(r.after)
					if r.call == 0 {
						h.ReportUpkeep(t.Context(), r.err)
					} else {
						h.Report(t.Context(), callOf(r.call), r.err)
					}
				}
				var reasons []error
				values := []int64{0}
				for i := range host.events {
					reasons = append(reasons, host.events[i].Err())
					require.Equal(t, reasons[i] == nil, host.events[i].Status() == componentstatus.StatusOK)
					value := int64(1)
					if reasons[i] == nil {
						value = 0
					}
					if values[len(values)-1] != value {
						values = append(values, value)
					}
				}
				require.Equal(t, test.told, reasons)
				require.Equal(t, values, host.values)
				var messages []string
				for _, entry := range logs.All() {
					messages = append(messages, entry.Message)
				}
				require.Equal(t, test.logged, messages)
			})
		})
	}
}
