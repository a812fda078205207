package tracequeryextension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/sources"
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// shutdownGrace is how long requests may take to finish at shutdown; the collector sets no deadline of its own.
const shutdownGrace = 10 * time.Second

// queryExtension is trace_query: a server over one storage.
type queryExtension struct {
	set    extension.Settings
	config *Config
	// inFlight is filled by assembling processors, which start after and stop before this extension.
	inFlight query.InFlight
	// sources is filled likewise, and by the collector's configuration.
	sources sources.Registry

	server *http.Server // nil unless started
	wg     sync.WaitGroup
}

var (
	_ extension.Extension         = (*queryExtension)(nil)
	_ tracestore.InFlightRegistry = (*queryExtension)(nil)
	_ tracesources.Registry       = (*queryExtension)(nil)

	_ extensioncapabilities.ConfigSnapshotWatcher = (*queryExtension)(nil)
)

func newExtension(set extension.Settings, config *Config) *queryExtension {
	return &queryExtension{set: set, config: config}
}

// RegisterInFlight implements tracestore.InFlightRegistry.
func (e *queryExtension) RegisterInFlight(f tracestore.InFlight) (unregister func()) {
	return e.inFlight.Register(f)
}

// RegisterSources implements tracesources.Registry.
func (e *queryExtension) RegisterSources(m tracesources.Manager) (unregister func(), err error) {
	return e.sources.Register(m)
}

// NotifyConfigSnapshot tells which receivers the configuration has, before any of them starts.
func (e *queryExtension) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	return e.sources.Configure(snapshot.Effective(), snapshot.Unexpanded())
}

// Start checks what the configuration names and serves.
func (e *queryExtension) Start(ctx context.Context, host component.Host) error {
	provider, err := tracestore.FindProvider(host, e.key("storage"), e.config.Storage)
	if err != nil {
		return err
	}
	settings := api.Settings{
		Service: &query.Service{
			Storage:  func() (tracestore.Backend, error) { return provider.Backend(e.config.Storage) },
			InFlight: &e.inFlight,
			Timeout:  e.config.QueryTimeout,
		},
		Logger:       e.set.Logger,
		TenantHeader: e.config.Tenant.Header,
		Sources:      &e.sources,
	}
	if cors := e.config.HTTP.CORS.Get(); cors != nil {
		settings.TrustedOrigins = cors.AllowedOrigins
	}
	if settings.ReadAuthenticator, err = e.findAuthenticator(host, "auth", e.config.Auth); err != nil {
		return err
	}
	if settings.ManageAuthenticator, err = e.findAuthenticator(host, "manage_auth", e.config.ManageAuth); err != nil {
		return err
	}
	if e.config.BackupDir != "" {
		if settings.BackupDir, err = filepath.Abs(e.config.BackupDir); err != nil {
			return fmt.Errorf("%s: %w", e.key("backup_dir"), err)
		}
	}
	return e.serve(ctx, host, settings)
}

func (e *queryExtension) serve(ctx context.Context, host component.Host, settings api.Settings) error {
	httpConfig := e.config.HTTP // ToServer fills in defaults
	listener, err := httpConfig.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("%s: listen on %q: %w; free it or name another",
			e.key("http::endpoint"), httpConfig.NetAddr.Endpoint, err)
	}
	settings.Loopback = loopback(listener.Addr())
	server, err := httpConfig.ToServer(ctx, host.GetExtensions(), e.set.TelemetrySettings, api.NewHandler(settings),
		confighttp.WithErrorHandler(api.WriteServerProblem))
	if err != nil {
		return fmt.Errorf("%s: make the server: %w", e.key("http"), errors.Join(err, listener.Close()))
	}
	e.server = server
	e.wg.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(fmt.Errorf("serve queries: %w", err)))
		}
	})
	e.set.Logger.Info("queries are answered", zap.Stringer("endpoint", listener.Addr()))
	return nil
}

// loopback says whether an address is one that only this host reaches.
func loopback(addr net.Addr) bool {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// findAuthenticator finds the extension that a configuration key names; nil where it names none.
func (e *queryExtension) findAuthenticator(host component.Host, key string, id *component.ID) (extensionauth.Server, error) {
	if id == nil {
		return nil, nil
	}
	ext, ok := host.GetExtensions()[*id]
	if !ok {
		return nil, fmt.Errorf("%s: unknown extension %q; configure it and add it to service::extensions", e.key(key), id)
	}
	server, ok := ext.(extensionauth.Server)
	if !ok {
		return nil, fmt.Errorf("%s: extension %q does not authenticate clients; name one that does, such as bearertokenauth",
			e.key(key), id)
	}
	return server, nil
}

// key is a configuration key of this extension as a user finds it.
func (e *queryExtension) key(name string) string {
	return "extensions::" + e.set.ID.String() + "::" + name
}

// Shutdown lets running requests finish, within ctx and shutdownGrace, then cuts them off.
func (e *queryExtension) Shutdown(ctx context.Context) error {
	if e.server == nil {
		return nil
	}
	server := e.server
	e.server = nil
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("finish running queries: %w", errors.Join(err, server.Close()))
	}
	e.wg.Wait()
	return err
}
