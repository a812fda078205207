package tracestoreextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/tracewright/tracewright/internal/testservers"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// eventHost hands on what the extension says of itself.
type eventHost struct {
	component.Host
	events chan *componentstatus.Event
}

func (h eventHost) Report(event *componentstatus.Event) { h.events <- event }

// A server that does not answer is no reason not to start, but shows in the status, until it answers.
func TestClickHouseComesLater(t *testing.T) {
	server, err := testservers.NewClickHouse(t.Context(), t.TempDir())
	if err != nil {
		t.Skip(err)
	}
	config := &Config{Backends: map[string]BackendConfig{"main": {ClickHouse: clickHouseConfig(t, map[string]any{"endpoint": server.DSN()})}}}
	require.NoError(t, config.Validate())
	ext := newExtension(config, settings(componenttest.NewNopTelemetrySettings()))
	host := eventHost{componenttest.NewNopHost(), make(chan *componentstatus.Event, 100)}
	require.NoError(t, ext.Start(t.Context(), host))
	event := <-host.events
	require.Equal(t, componentstatus.StatusRecoverableError, event.Status())
	require.ErrorContains(t, event.Err(), "backends::main: ")
	require.ErrorContains(t, event.Err(), "refused")

	backend, err := ext.Backend("main")
	require.NoError(t, err)
	_, writes := backend.(tracestore.Writer)
	require.False(t, writes)

	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	for event.Status() != componentstatus.StatusOK {
		event = <-host.events
	}
	query := &tracestore.SearchQuery{Start: time.Now().Add(-time.Hour), End: time.Now(), Limit: 1}
	page, err := backend.Search(t.Context(), "", query)
	require.NoError(t, err)
	require.Empty(t, page.Traces)
	require.NoError(t, ext.Shutdown(t.Context()))
	_, err = backend.Search(t.Context(), "", query)
	require.ErrorIs(t, err, tracestore.ErrClosed)
}
