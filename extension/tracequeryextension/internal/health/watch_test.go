package health

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/tracewright/tracewright/internal/componenthealth"
)

var (
	traces   = pipeline.NewID(pipeline.SignalTraces)
	otlp     = componentstatus.NewInstanceID(component.MustNewID("otlp"), component.KindReceiver, traces)
	zipkin   = componentstatus.NewInstanceID(component.MustNewID("zipkin"), component.KindReceiver, traces)
	assembly = componentstatus.NewInstanceID(component.MustNewID("trace_assembly"), component.KindProcessor, traces)
	exporter = componentstatus.NewInstanceID(component.MustNewID("trace_store"), component.KindExporter, traces)
	store    = componentstatus.NewInstanceID(component.MustNewID("trace_store"), component.KindExtension)
	all      = []*componentstatus.InstanceID{store, exporter, assembly, zipkin, otlp}
)

func TestWhatIsToBeDone(t *testing.T) {
	broken := errors.New("broken")
	recoverable := func() *componentstatus.Event { return componentstatus.NewRecoverableErrorEvent(broken) }
	type change struct {
		source *componentstatus.InstanceID
		event  *componentstatus.Event
	}
	for name, test := range map[string]struct {
		changes              []change
		live, ready, failing bool
	}{
		"nothing":                      {nil, true, true, false},
		"a storage is away":            {[]change{{store, recoverable()}}, true, true, true},
		"an exporter's server is away": {[]change{{exporter, recoverable()}}, true, true, true},
		"one receiver fails":           {[]change{{otlp, componentstatus.NewPermanentErrorEvent(broken)}}, true, true, true},
		"no receiver works":            {[]change{{otlp, componentstatus.NewPermanentErrorEvent(broken)}, {zipkin, recoverable()}}, true, false, true},
		"a processor refuses":          {[]change{{assembly, recoverable()}}, true, false, true},
		"a processor takes again":      {[]change{{assembly, recoverable()}, {assembly, componentstatus.NewEvent(componentstatus.StatusOK)}}, true, true, false},
		"a storage needs a restart":    {[]change{{store, componenthealth.NeedsRestart(broken)}}, false, true, true},
		"an exporter needs its key":    {[]change{{exporter, componentstatus.NewPermanentErrorEvent(broken)}}, true, true, true},
		"the process will end":         {[]change{{exporter, componentstatus.NewFatalErrorEvent(broken)}}, false, true, true},
		"stopping":                     {[]change{{assembly, componentstatus.NewEvent(componentstatus.StatusStopping)}}, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var w Watch
			for _, source := range all {
				w.Note(source, componentstatus.NewEvent(componentstatus.StatusOK))
			}
			require.Equal(t, Report{Live: true, Components: w.Report().Components}, w.Report(), "not ready before pipelines run")
			w.Running(true)
			for _, c := range test.changes {
				w.Note(c.source, c.event)
			}
			report := w.Report()
			require.Equal(t, test.live, report.Live)
			require.Equal(t, test.ready, report.Ready)
			require.Equal(t, test.failing, report.Failing())
			w.Running(false)
			require.False(t, w.Report().Ready)
		})
	}
}

func TestReport(t *testing.T) {
	var w Watch
	require.Equal(t, Report{Live: true, Components: []Component{}}, w.Report())
	began := time.Now()
	for _, source := range all {
		w.Note(source, componentstatus.NewEvent(componentstatus.StatusOK))
	}
	w.Note(exporter, componentstatus.NewRecoverableErrorEvent(errors.New("first")))
	since := w.Report().Components[3].Since
	w.Note(exporter, componentstatus.NewRecoverableErrorEvent(errors.New("\xff"+strings.Repeat("x", 2000))))
	report := w.Report()
	var order []string
	for i, c := range report.Components {
		order = append(order, c.Kind+" "+c.ID.String()+" "+strings.Join(c.Pipelines, ","))
		require.WithinRange(t, c.Since, began, time.Now())
		require.Equal(t, i == 3, c.Failing())
	}
	require.Equal(t, []string{
		"receiver otlp traces", "receiver zipkin traces", "processor trace_assembly traces", "exporter trace_store traces",
		"extension trace_store ",
	}, order)
	failing := report.Components[3]
	require.Equal(t, StatusRecoverable, failing.Status)
	require.Equal(t, since, failing.Since, "since it began")
	require.Equal(t, "\uFFFD"+strings.Repeat("x", maxReason-1)+"…", failing.Reason)
	w.Note(exporter, componentstatus.NewEvent(componentstatus.StatusOK))
	require.Empty(t, w.Report().Components[3].Reason)
}
