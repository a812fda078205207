// Package componenthealth is what components of ours say of themselves beyond the collector's component status: that only a restart
// of the process mends them. Who watches statuses can then tell what a restart is for from what has to be waited for.
package componenthealth

import (
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// attrRestart marks an event of a component that a restart mends.
const attrRestart = "tracewright.restart"

// NeedsRestart is the status of a component that failed for good, but will work when the process has started again. A component reports
// nothing after it, as after every permanent error.
func NeedsRestart(err error) *componentstatus.Event {
	attributes := pcommon.NewMap()
	attributes.PutBool(attrRestart, true)
	return componentstatus.NewEvent(componentstatus.StatusPermanentError,
		componentstatus.WithError(err), componentstatus.WithAttributes(attributes))
}

// RestartHelps says whether the process should be started again for the sake of the component: it says so itself, or its error ends
// the process anyway.
func RestartHelps(event *componentstatus.Event) bool {
	marked, ok := event.Attributes().Get(attrRestart)
	return ok && marked.Bool() || event.Status() == componentstatus.StatusFatalError
}
