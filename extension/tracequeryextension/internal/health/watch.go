// Package health knows how the components of the process do, and says what is to be done about it.
package health

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/tracewright/tracewright/internal/componenthealth"
)

// Status is how a component does.
type Status string

// A component that fails works again by itself (StatusRecoverable), after somebody has done something (StatusPermanent), or not in this
// process (StatusFatal).
const (
	StatusStarting    Status = "starting"
	StatusOK          Status = "ok"
	StatusRecoverable Status = "recoverable_error"
	StatusPermanent   Status = "permanent_error"
	StatusFatal       Status = "fatal_error"
	StatusStopping    Status = "stopping"
	StatusStopped     Status = "stopped"
)

var statusNames = map[componentstatus.Status]Status{
	componentstatus.StatusStarting: StatusStarting, componentstatus.StatusOK: StatusOK,
	componentstatus.StatusRecoverableError: StatusRecoverable, componentstatus.StatusPermanentError: StatusPermanent,
	componentstatus.StatusFatalError: StatusFatal, componentstatus.StatusStopping: StatusStopping,
	componentstatus.StatusStopped: StatusStopped,
}

// Component is one instance of a component; a component can have several, for different pipelines.
type Component struct {
	ID        component.ID
	Kind      string // receiver, processor, exporter, connector, extension
	Pipelines []string
	Status    Status
	Since     time.Time
	// Reason is why it fails; empty unless it does. It is as the component says it, of at most maxReason bytes.
	Reason string
}

// maxReason bounds what is kept of an error.
const maxReason = 1000

// Failing says whether the component reports an error.
func (c *Component) Failing() bool {
	return c.Status == StatusRecoverable || c.Status == StatusPermanent || c.Status == StatusFatal
}

// Report is how the process does at one moment.
type Report struct {
	// Live is false when the process should be started again, because that would help.
	Live bool
	// Ready is false when spans that are sent now would be refused.
	Ready bool
	// Components are in the order of kinds along the way of the data, then by id and pipelines.
	Components []Component
}

// Failing says whether any component reports an error.
func (r *Report) Failing() bool {
	return slices.ContainsFunc(r.Components, func(c Component) bool { return c.Failing() })
}

// Watch takes note of component statuses. The zero value knows of none, and of pipelines that do not run. It is safe for concurrent use.
type Watch struct {
	mu        sync.Mutex // guards the fields below
	running   bool       // pipelines
	instances map[componentstatus.InstanceID]instance
}

// instance is the last event of an instance.
type instance struct {
	Component
	restart bool
}

// Note takes an event; for componentstatus.Watcher.
func (w *Watch) Note(source *componentstatus.InstanceID, event *componentstatus.Event) {
	c := Component{
		ID: source.ComponentID(), Kind: strings.ToLower(source.Kind().String()),
		Status: statusNames[event.Status()], Since: event.Timestamp(),
	}
	source.AllPipelineIDs(func(id pipeline.ID) bool {
		c.Pipelines = append(c.Pipelines, id.String())
		return true
	})
	if err := event.Err(); err != nil && c.Failing() {
		c.Reason = shortened(err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.instances == nil {
		w.instances = make(map[componentstatus.InstanceID]instance)
	}
	if last, ok := w.instances[*source]; ok && last.Status == c.Status {
		c.Since = last.Since
	}
	w.instances[*source] = instance{c, componenthealth.RestartHelps(event)}
}

func shortened(text string) string {
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// Running says whether the pipelines take data; for extensioncapabilities.PipelineWatcher.
func (w *Watch) Running(running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = running
}

// Report says how the process does now. Spans are refused while the pipelines do not run, while a processor fails, which they all have to
// pass, and when no receiver works. An exporter or extension that fails is an outage behind, which the pipelines wait out as long as
// they can.
func (w *Watch) Report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Report{Live: true, Ready: w.running, Components: make([]Component, 0, len(w.instances))}
	receivers, failing := 0, 0
	for _, i := range w.instances {
		r.Components = append(r.Components, i.Component)
		r.Live = r.Live && !i.restart
		switch i.Kind {
		case "receiver":
			receivers++
			if i.Failing() {
				failing++
			}
		case "processor":
			r.Ready = r.Ready && !i.Failing()
		}
	}
	r.Ready = r.Ready && (receivers == 0 || failing < receivers)
	slices.SortFunc(r.Components, func(a, b Component) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.ID.String(), b.ID.String()),
			slices.Compare(a.Pipelines, b.Pipelines))
	})
	return r
}

// kinds are in the order of the data.
var kinds = []string{"receiver", "processor", "connector", "exporter", "extension"}
