package tracesourcesreceiver

import (
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// sourceHost is the collector's host for one source, which keeps what the source's receiver reports: the failure of a source is not the
// collector's.
type sourceHost struct {
	component.Host
	factories

	mu     sync.Mutex // guards status
	status *componentstatus.Event
}

var (
	_ component.Host           = (*sourceHost)(nil)
	_ componentstatus.Reporter = (*sourceHost)(nil)
)

// Report implements componentstatus.Reporter.
func (h *sourceHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = event
}

// trouble is what the receiver last said to be wrong, nil if nothing is. ended says that it does not run any more.
func (h *sourceHost) trouble() (err error, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status == nil {
		return nil, false
	}
	switch h.status.Status() {
	case componentstatus.StatusRecoverableError, componentstatus.StatusPermanentError:
		return h.status.Err(), false
	case componentstatus.StatusFatalError:
		return h.status.Err(), true
	}
	return nil, false
}
