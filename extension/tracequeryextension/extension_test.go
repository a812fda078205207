package tracequeryextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadata"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const traceID = "0102030405060708090a0b0c0d0e0f10"

// testStorage is a trace_store extension whose backend "main" finds nothing, or what trace says.
type testStorage struct {
	component.StartFunc
	component.ShutdownFunc
	tracestore.AggregateReader // nil: nobody asks, nor below
	tracestore.CatalogueReader
	tracestore.Deleter
	tails  tracestore.Tails
	opened bool
	trace  func(ctx context.Context) error
}

func (s *testStorage) Tail(_ context.Context, tenant string, where *tracestore.Conditions, size int) (*tracestore.Tail, error) {
	return s.tails.Tail(tenant, where, size), nil
}

func (s *testStorage) HasBackend(name string) bool { return name == "main" }
func (s *testStorage) BackendNames() []string      { return []string{"main"} }

func (s *testStorage) Backend(string) (tracestore.Backend, error) {
	if !s.opened {
		return nil, tracestore.ErrClosed
	}
	return s, nil
}

func (s *testStorage) WriteCall(context.Context, ptrace.Traces) error { return errors.New("read only") }

func (s *testStorage) Trace(ctx context.Context, _ string, _ pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		err := tracestore.ErrNotFound
		if s.trace != nil {
			err = s.trace(ctx)
		}
		yield(ptrace.Traces{}, err)
	}
}

func (s *testStorage) Search(context.Context, string, *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	return tracestore.SearchPage{}, nil
}

// testAuthenticator lets one token pass.
type testAuthenticator struct {
	component.StartFunc
	component.ShutdownFunc
	extensionauth.ServerAuthenticateFunc
}

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

var (
	storageID = component.MustNewID("trace_store")
	authID    = component.MustNewID("bearertokenauth")
)

// testSettings have the id that a user's configuration has, in place of a random one.
func testSettings() extension.Settings {
	set := extensiontest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	return set
}

func newHost(s *testStorage) testHost {
	return testHost{
		storageID: s,
		authID: &testAuthenticator{ServerAuthenticateFunc: func(ctx context.Context, sources map[string][]string) (context.Context, error) {
			if http.Header(sources).Get("Authorization") != "Bearer right" {
				return ctx, errors.New("no")
			}
			return ctx, nil
		}},
	}
}

// start runs the extension on a free port and returns its URL.
func start(t *testing.T, host component.Host, change func(c *Config)) (ext *queryExtension, url string) {
	t.Helper()
	return startWith(t, host, testSettings(), change)
}

func startWith(
	t *testing.T, host component.Host, set extension.Settings, change func(c *Config),
) (ext *queryExtension, url string) {
	t.Helper()
	config := createDefaultConfig().(*Config)
	config.Storage = "main"
	config.HTTP.NetAddr.Endpoint = "localhost:0"
	if change != nil {
		change(config)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	set.Logger = zap.New(core)
	ext = newExtension(set, config)
	require.NoError(t, ext.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	started := logs.FilterMessage("queries are answered").All()
	require.Len(t, started, 1)
	return ext, "http://" + started[0].ContextMap()["endpoint"].(string)
}

// send makes one request on a connection of its own.
func send(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	status, body, media := exchange(t, r)
	if status >= 400 {
		require.Equal(t, "application/problem+json", media)
	}
	return status, body
}

func exchange(t *testing.T, r *http.Request) (status int, body, media string) {
	t.Helper()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	require.NoError(t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(content), response.Header.Get("Content-Type")
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	return r
}

func TestServes(t *testing.T) {
	storage := &testStorage{}
	ext, url := start(t, newHost(storage), nil)

	status, _ := send(t, request(t, "GET", url+"/traces/"+traceID, ""))
	require.Equal(t, http.StatusServiceUnavailable, status, "the storage starts later")
	storage.opened = true
	status, body := send(t, request(t, "GET", url+"/traces/"+traceID, ""))
	require.Equal(t, http.StatusNotFound, status)
	require.NotContains(t, body, "in_flight")
	status, body = send(t, request(t, "POST", url+"/traces/search", "{}"))
	require.Equal(t, http.StatusOK, status, body)

	var registry tracestore.InFlightRegistry = ext
	unregister := registry.RegisterInFlight(func(context.Context, string, pcommon.TraceID) bool { return true })
	_, body = send(t, request(t, "GET", url+"/traces/"+traceID, ""))
	require.Contains(t, body, `"in_flight":true`)
	unregister()
}

func TestRequestBodies(t *testing.T) {
	_, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) { c.HTTP.MaxRequestBodySize = 100 })
	url += "/traces/search"
	compress := func(body string) string {
		var compressed bytes.Buffer
		z := gzip.NewWriter(&compressed)
		_, err := z.Write([]byte(body))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return compressed.String()
	}
	zstandard := func(body string, window int) string {
		var compressed bytes.Buffer
		z, err := zstd.NewWriter(&compressed, zstd.WithWindowSize(window))
		require.NoError(t, err)
		for _, part := range []string{body, " "} { // of several blocks, so that the frame has a window
			_, err = z.Write([]byte(part))
			require.NoError(t, err)
			require.NoError(t, z.Flush())
		}
		require.NoError(t, z.Close())
		return compressed.String()
	}
	for name, test := range map[string]struct {
		body, encoding string
		status         int
	}{
		"compressed":              {compress("{}"), "gzip", 200},
		"zstandard":               {zstandard("{}", 8<<20), "zstd", 200},
		"a window of 16 MiB":      {zstandard("{}", 16<<20), "zstd", 400},
		"a window of 512 MiB":     {zstandard("{}", 512<<20), "zstd", 400},
		"zstandard, too large":    {zstandard(strings.Repeat(" ", 10_000), 1<<20), "zstd", 413},
		"snappy of 4 GiB":         {"\xff\xff\xff\xff\x0f1234567890", "snappy", 400},
		"too large":               {strings.Repeat(" ", 101), "", 413},
		"too large when unpacked": {compress(strings.Repeat(" ", 10_000)), "gzip", 413},
		"unknown compression":     {"{}", "rot13", 400},
		"not compressed":          {"{}", "gzip", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, "POST", url, test.body)
			r.Header.Set("Content-Encoding", test.encoding)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			status, body := send(t, r)
			runtime.ReadMemStats(&after)
			require.Equal(t, test.status, status, body)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40<<20))
		})
	}
}

func TestAuth(t *testing.T) {
	_, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) { c.Auth = &authID })
	r := request(t, "GET", url+"/traces/"+traceID, "")
	status, _ := send(t, r)
	require.Equal(t, http.StatusUnauthorized, status)
	r.Header.Set("Authorization", "Bearer right")
	status, _ = send(t, r)
	require.Equal(t, http.StatusNotFound, status)
}

func TestStartFailsNamingTheKey(t *testing.T) {
	other := component.MustNewID("nobody")
	for name, test := range map[string]struct {
		host   component.Host
		change func(c *Config)
		want   string
	}{
		"unknown storage": {
			newHost(&testStorage{}), func(c *Config) { c.Storage = "mian" },
			`extensions::trace_query::storage: unknown storage "mian"; the trace_store extension has: main`,
		},
		"no storage at all": {
			componenttest.NewNopHost(), func(*Config) {},
			`extensions::trace_query::storage: unknown storage "main": no trace_store extension is enabled`,
		},
		"unknown map": {
			newHost(&testStorage{}), func(c *Config) { c.ServiceMap = "main" },
			`extensions::trace_query::service_map: unknown service map "main": no trace_store extension is enabled`,
		},
		"unknown authenticator": {
			newHost(&testStorage{}), func(c *Config) { c.Auth = &other },
			`extensions::trace_query::auth: unknown extension "nobody"; configure it`,
		},
		"no authenticator": {
			newHost(&testStorage{}), func(c *Config) { c.Auth = &storageID },
			`extensions::trace_query::auth: extension "trace_store" does not authenticate`,
		},
		"unknown authenticator of managers": {
			newHost(&testStorage{}), func(c *Config) { c.ManageAuth = &other },
			`extensions::trace_query::manage_auth: unknown extension "nobody"; configure it`,
		},
		"bad endpoint": {
			newHost(&testStorage{}), func(c *Config) { c.HTTP.NetAddr.Endpoint = "nowhere" },
			`extensions::trace_query::http::endpoint: listen on "nowhere"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			config.Storage = "main"
			test.change(config)
			ext := newExtension(testSettings(), config)
			require.ErrorContains(t, ext.Start(t.Context(), test.host), test.want)
			require.NoError(t, ext.Shutdown(t.Context()))
		})
	}
}

func TestPortInUse(t *testing.T) {
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	config := createDefaultConfig().(*Config)
	config.Storage = "main"
	config.HTTP.NetAddr.Endpoint = listener.Addr().String()
	ext := newExtension(testSettings(), config)
	err = ext.Start(t.Context(), newHost(&testStorage{}))
	require.ErrorContains(t, err, "extensions::trace_query::http::endpoint: listen on ")
	require.NoError(t, ext.Shutdown(t.Context()))
}

func TestShutdown(t *testing.T) {
	ext, url := start(t, newHost(&testStorage{opened: true}), nil)
	status, _ := send(t, request(t, "GET", url+"/traces/"+traceID, ""))
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, ext.Shutdown(t.Context()))
	require.NoError(t, ext.Shutdown(t.Context()), "twice")
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.Error(t, err, "nobody listens")
}

func TestShutdownLetsARequestFinish(t *testing.T) {
	running, finish := make(chan struct{}), make(chan struct{})
	ext, url := start(t, newHost(&testStorage{opened: true, trace: func(context.Context) error {
		close(running)
		<-finish
		return tracestore.ErrNotFound
	}}), nil)
	answered, stopped := make(chan int), make(chan error)
	r := request(t, "GET", url+"/traces/"+traceID, "")
	go func() {
		status := 0
		if response, err := new(http.Transport).RoundTrip(r); err == nil && response.Body.Close() == nil {
			status = response.StatusCode
		}
		answered <- status
	}()
	<-running
	go func() { stopped <- ext.Shutdown(context.Background()) }()
	close(finish)
	require.Equal(t, http.StatusNotFound, <-answered)
	require.NoError(t, <-stopped)
}

func TestShutdownCutsARequestAtItsDeadline(t *testing.T) {
	running := make(chan struct{})
	ext, url := start(t, newHost(&testStorage{opened: true, trace: func(ctx context.Context) error {
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}}), nil)
	cut := make(chan error)
	r := request(t, "GET", url+"/traces/"+traceID, "")
	go func() {
		response, err := new(http.Transport).RoundTrip(r)
		if err == nil {
			err = response.Body.Close()
		}
		cut <- err
	}()
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, ext.Shutdown(ctx), context.DeadlineExceeded)
	require.Error(t, <-cut)
}

// The server's metrics tell routes and statuses apart, with an authenticator too.
func TestRequestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := testSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	ext, url := startWith(t, newHost(&testStorage{opened: true}), set, func(c *Config) { c.Auth = &authID })
	r := request(t, "GET", url+"/traces/"+traceID, "")
	r.Header.Set("Authorization", "Bearer right")
	status, _ := send(t, r)
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, ext.Shutdown(t.Context()))

	duration, err := telemetry.GetMetric("http.server.request.duration")
	require.NoError(t, err)
	points := duration.Data.(metricdata.Histogram[float64]).DataPoints
	require.Len(t, points, 1)
	route, ok := points[0].Attributes.Value("http.route")
	require.True(t, ok)
	require.Equal(t, "/traces/{id}", route.AsString())
	code, _ := points[0].Attributes.Value("http.response.status_code")
	require.Equal(t, int64(404), code.AsInt64())

	spans := telemetry.SpanRecorder.Ended()
	require.Len(t, spans, 1)
	require.Equal(t, "GET /traces/{id}", spans[0].Name())
}
