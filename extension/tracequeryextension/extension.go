package tracequeryextension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/health"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadata"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/sources"
	"github.com/tracewright/tracewright/internal/boundedzstd"
	"github.com/tracewright/tracewright/internal/servicemap"
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
	health  health.Watch

	telemetry *metadata.TelemetryBuilder // nil unless started
	server    *http.Server               // nil unless started
	// stopping is closed when the server stops.
	stopping chan struct{}
	wg       sync.WaitGroup
}

var (
	_ extension.Extension         = (*queryExtension)(nil)
	_ tracestore.InFlightRegistry = (*queryExtension)(nil)
	_ tracesources.Registry       = (*queryExtension)(nil)

	_ extensioncapabilities.ConfigSnapshotWatcher = (*queryExtension)(nil)

	_ componentstatus.Watcher               = (*queryExtension)(nil)
	_ extensioncapabilities.PipelineWatcher = (*queryExtension)(nil)
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

// ComponentStatusChanged implements componentstatus.Watcher. It is called before Start too.
func (e *queryExtension) ComponentStatusChanged(source *componentstatus.InstanceID, event *componentstatus.Event) {
	e.health.Note(source, event)
}

// Ready implements extensioncapabilities.PipelineWatcher: the receivers have started.
func (e *queryExtension) Ready() error {
	e.health.Running(true)
	return nil
}

// NotReady implements extensioncapabilities.PipelineWatcher: the receivers will stop.
func (e *queryExtension) NotReady() error {
	e.health.Running(false)
	return nil
}

// Start checks what the configuration names and serves.
func (e *queryExtension) Start(ctx context.Context, host component.Host) error {
	provider, err := tracestore.FindProvider(host, e.key("storage"), e.config.Storage)
	if err != nil {
		return err
	}
	limits := e.config.Limits
	settings := api.Settings{
		Service: &query.Service{
			Storage:  func() (tracestore.Backend, error) { return provider.Backend(e.config.Storage) },
			InFlight: &e.inFlight,
			Timeout:  e.config.QueryTimeout,
			Prices:   e.config.Prices.BusySecond,
			Currency: e.config.Prices.Currency,
			Memory:   query.Memory{PerRequest: limits.MaxTraceBytes, Total: limits.MaxTotalTraceBytes},
		},
		Logger:       e.set.Logger,
		TenantHeader: e.config.Tenant.Header,
		Sources:      &e.sources,
		Health:       &e.health,
		AllowedHosts: e.config.hosts(),
		Limits: api.Limits{
			Concurrent: limits.MaxConcurrent, ConcurrentPerClient: limits.MaxConcurrentPerClient,
			RatePerClient: limits.RatePerClient, BurstPerClient: limits.BurstPerClient,
		},
	}
	if name := e.config.ServiceMap; name != "" {
		maps, err := servicemap.FindProvider(host, e.key("service_map"), name)
		if err != nil {
			return err
		}
		settings.Service.Graph = func() (servicemap.Reader, error) { return maps.ServiceMap(name) }
	}
	if cors := e.config.HTTP.CORS.Get(); cors != nil {
		settings.TrustedOrigins = cors.AllowedOrigins
	}
	if settings.Links, err = makeLinks(e.config.Links); err != nil {
		return fmt.Errorf("%s: %w", e.key("links"), err)
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
	if e.telemetry, err = newTelemetry(e.set.TelemetrySettings, &e.health); err != nil {
		return fmt.Errorf("make the metrics of %s: %w", e.set.ID, err)
	}
	settings.Telemetry = e.telemetry
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
	e.stopping = make(chan struct{})
	settings.Stopping = e.stopping
	options := []confighttp.ToServerOption{confighttp.WithErrorHandler(api.WriteServerProblem)}
	if algorithms := httpConfig.CompressionAlgorithms; algorithms == nil || slices.Contains(algorithms, "zstd") {
		options = append(options, confighttp.WithDecoder("zstd", boundedzstd.Decode))
	}
	server, err := httpConfig.ToServer(ctx, host.GetExtensions(), e.set.TelemetrySettings, api.NewHandler(settings), options...)
	if err != nil {
		return fmt.Errorf("%s: make the server: %w", e.key("http"), errors.Join(err, listener.Close()))
	}
	server.Handler = continued(server.Handler)
	e.server = server
	e.wg.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(fmt.Errorf("serve queries: %w", err)))
		}
	})
	e.set.Logger.Info("queries are answered", zap.Stringer("endpoint", listener.Addr()))
	return nil
}

// continued puts the caller's W3C trace context into the request's, so that the server's span continues the caller's trace. confighttp
// reads it only where service::telemetry::traces::propagators names tracecontext, which is not the default.
func continued(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))))
	})
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
	if e.telemetry != nil {
		defer e.telemetry.Shutdown()
	}
	if e.server == nil {
		return nil
	}
	server := e.server
	e.server = nil
	close(e.stopping)
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("finish running queries: %w", errors.Join(err, server.Close()))
	}
	e.wg.Wait()
	return err
}
