package hostextension

import (
	"maps"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// host is the collector's, and has more extensions.
type host struct {
	component.Host
	more map[component.ID]component.Component
}

var _ componentstatus.Reporter = (*host)(nil)

// With is the collector's host with extensions besides those of its configuration, which go before.
func With(collector component.Host, more map[component.ID]component.Component) component.Host {
	return &host{Host: collector, more: more}
}

// GetExtensions implements component.Host.
func (h *host) GetExtensions() map[component.ID]component.Component {
	extensions := maps.Clone(h.more)
	maps.Copy(extensions, h.Host.GetExtensions())
	return extensions
}

// Report implements componentstatus.Reporter.
func (h *host) Report(event *componentstatus.Event) { componentstatus.ReportStatus(h.Host, event) }
