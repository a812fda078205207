package playtest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// Stored is a store with these calls.
func Stored(t *testing.T, parts ...[]ptrace.Traces) tracestore.Backend {
	t.Helper()
	store := memstore.New(24*time.Hour, func() time.Time { return Midnight.Add(2 * time.Hour) })
	for _, part := range parts {
		for _, td := range part {
			require.NoError(t, store.WriteCall(t.Context(), td))
		}
	}
	return store
}

// host has a trace_store extension whose backend is the store.
type host struct{ store tracestore.Backend }

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("trace_store"): &provider{store: h.store}}
}

type provider struct {
	component.StartFunc
	component.ShutdownFunc
	store tracestore.Backend
}

func (*provider) HasBackend(string) bool                       { return true }
func (*provider) BackendNames() []string                       { return []string{"main"} }
func (p *provider) Backend(string) (tracestore.Backend, error) { return p.store, nil }

// Ask asks the API over a store, with its configuration beside storage and endpoint, and decodes the answer.
func Ask(t *testing.T, store tracestore.Backend, config map[string]any, path string, query url.Values, answer any) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	factory := tracequeryextension.NewFactory()
	made := factory.CreateDefaultConfig()
	all := map[string]any{"storage": "main", "http": map[string]any{"endpoint": address}}
	for key, value := range config {
		all[key] = value
	}
	require.NoError(t, confmap.NewFromStringMap(all).Unmarshal(made))
	set := extensiontest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type())
	ext, err := factory.Create(t.Context(), set, made)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), host{store}))
	defer func() { require.NoError(t, ext.Shutdown(context.Background())) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path+"?"+query.Encode(), http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	require.NoError(t, json.Unmarshal(body, answer))
}
