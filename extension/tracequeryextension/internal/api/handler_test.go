package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/gzhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/internal/tracestore"
)

func TestRoutes(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for name, test := range map[string]struct {
		method, target string
		status         int
		allow          string
	}{
		"root":                 {"GET", "/", 404, ""},
		"traces":               {"GET", "/traces", 404, ""},
		"traces and slash":     {"GET", "/traces/", 404, ""},
		"below a trace":        {"GET", "/traces/" + knownID + "/spans", 404, ""},
		"two slashes":          {"GET", "//traces/" + knownID, 404, ""},
		"up and down again":    {"GET", "/traces/../traces/" + knownID, 404, ""},
		"elsewhere":            {"GET", "/openapi.json", 404, ""},
		"a source of nobody":   {"GET", "/traces/sources/1", 404, ""},
		"below a source":       {"GET", "/traces/sources/1/2", 404, ""},
		"deleting sources":     {"DELETE", "/traces/sources", 405, "GET, HEAD, POST"},
		"posting to a source":  {"POST", "/traces/sources/1", 405, "DELETE, GET, HEAD, PUT"},
		"below services":       {"GET", "/traces/services/a", 404, ""},
		"posting to services":  {"POST", "/traces/services", 405, "GET, HEAD"},
		"posting performance":  {"POST", "/traces/performance", 405, "GET, HEAD"},
		"below dependencies":   {"GET", "/traces/dependencies/a", 404, ""},
		"reading the search":   {"GET", "/traces/search", 405, "POST"},
		"head of the search":   {"HEAD", "/traces/search", 405, "POST"},
		"posting to a trace":   {"POST", "/traces/" + knownID, 405, "DELETE, GET, HEAD"},
		"a method of nobody's": {"BREW", "/traces/" + knownID, 405, "DELETE, GET, HEAD"},
		"deleting the search":  {"DELETE", "/traces/search", 405, "POST"},
		"reading a backup":     {"GET", "/admin/backup", 405, "POST"},
		"below attributes":     {"GET", "/traces/attributes/a", 404, ""},
		"values of nothing":    {"GET", "/traces/attributes//values", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response := do(h, httptest.NewRequestWithContext(t.Context(), test.method, test.target, http.NoBody))
			requireProblem(t, test.status, response)
			require.Equal(t, test.allow, response.Header().Get("Allow"))
		})
	}
}

func TestBadTraceRequests(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for name, test := range map[string]struct {
		target string
		fields []string
	}{
		"not hex":              {"/traces/xyz", []string{"id"}},
		"31 digits":            {"/traces/" + knownID[1:], []string{"id"}},
		"33 digits":            {"/traces/" + knownID + "0", []string{"id"}},
		"32 of which one is g": {"/traces/g" + knownID[1:], []string{"id"}},
		"zero":                 {"/traces/" + strings.Repeat("0", 32), []string{"id"}},
		"short zero":           {"/traces/" + strings.Repeat("0", 16), []string{"id"}},
		"escaped slash":        {"/traces/a%2Fb", []string{"id"}},
		"escaped dots":         {"/traces/%2e%2e", []string{"id"}},
		"format":               {"/traces/" + knownID + "?format=xml", []string{"format"}},
		"empty format":         {"/traces/" + knownID + "?format=", []string{"format"}},
		"two formats":          {"/traces/" + knownID + "?format=otlp&format=otlp", []string{"format"}},
		"unknown parameter":    {"/traces/" + knownID + "?fromat=otlp", []string{"fromat"}},
		"broken parameters":    {"/traces/" + knownID + "?a=%zz", []string{""}},
		"several":              {"/traces/xyz?b=1&a=1&format=x", []string{"a", "b", "format", "id"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := requireProblem(t, http.StatusBadRequest, do(h, get(test.target)))
			require.Equal(t, test.fields, faultFields(p))
		})
	}
}

func faultFields(p problemAnswer) []string {
	if len(p.Errors) == 0 {
		return []string{p.Field}
	}
	var fields []string
	for _, f := range p.Errors {
		fields = append(fields, f.Field)
	}
	return fields
}

func TestTraceIDs(t *testing.T) {
	var asked pcommon.TraceID
	h := testHandler(&fakeStorage{trace: func(_ context.Context, _ string, id pcommon.TraceID) ([]ptrace.Traces, error) {
		asked = id
		return nil, tracestore.ErrNotFound
	}})
	for text, want := range map[string]string{
		knownID:                  knownID,
		strings.ToUpper(knownID): knownID,
		"00000000000000ab":       "000000000000000000000000000000ab",
		"ABCDEF0123456789":       "0000000000000000abcdef0123456789",
	} {
		p := requireProblem(t, http.StatusNotFound, do(h, get("/traces/"+text)))
		require.Equal(t, want, asked.String())
		require.Contains(t, p.Detail, want)
		require.Equal(t, "id", p.Field)
	}
}

func TestInFlightMember(t *testing.T) {
	s := settings(&fakeStorage{})
	h := NewHandler(s)
	require.NotContains(t, do(h, get("/traces/"+knownID)).Body.String(), "in_flight", "nobody to ask")
	inFlight := true
	unregister := s.Service.InFlight.Register(func(_ context.Context, tenant string, id pcommon.TraceID) bool {
		return inFlight && tenant == "shop" && id.String() == knownID
	})
	r := get("/traces/" + knownID)
	r.Header.Set(tenantHeader, "shop")
	require.Contains(t, do(h, r).Body.String(), `"in_flight":true`)
	inFlight = false
	require.Contains(t, do(h, r).Body.String(), `"in_flight":false`)
	unregister()
	require.NotContains(t, do(h, r).Body.String(), "in_flight")
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		field  string
		logged bool
	}{
		"closed":  {tracestore.ErrClosed, 503, "", false},
		"cursor":  {tracestore.ErrCursor, 400, "cursor", false},
		"timeout": {context.DeadlineExceeded, 504, "", false},
		"away":    {fmt.Errorf("%w: dial secret host: %w", tracestore.ErrUnavailable, context.DeadlineExceeded), 503, "", true},
		"broken":  {errors.New("secret path"), 500, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.InfoLevel)
			s := settings(&fakeStorage{
				trace: func(context.Context, string, pcommon.TraceID) ([]ptrace.Traces, error) { return nil, test.err },
				search: func(context.Context, string, *tracestore.SearchQuery) (tracestore.SearchPage, error) {
					return tracestore.SearchPage{}, test.err
				},
			})
			s.Logger = zap.New(core)
			for _, r := range []*http.Request{postSearch(""), get("/traces/" + knownID)} {
				response := do(NewHandler(s), r)
				p := requireProblem(t, test.status, response)
				require.Equal(t, test.field, p.Field)
				require.Equal(t, test.status == 503, response.Header().Get("Retry-After") == "1")
				require.NotContains(t, p.Detail, "secret", "inner errors are for the log")
				require.Equal(t, test.logged, logs.Len() == 1)
				logs.TakeAll()
			}
		})
	}
}

func TestStorageNotStarted(t *testing.T) {
	s := settings(nil)
	s.Service.Storage = func() (tracestore.Backend, error) { return nil, tracestore.ErrClosed }
	response := do(NewHandler(s), get("/traces/"+knownID))
	require.Equal(t, "1", response.Header().Get("Retry-After"))
	requireProblem(t, http.StatusServiceUnavailable, response)
	requireProblem(t, http.StatusServiceUnavailable, do(NewHandler(s), postSearch("{}")))
}

func TestSlowStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHandler(&fakeStorage{trace: func(ctx context.Context, _ string, _ pcommon.TraceID) ([]ptrace.Traces, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		p := requireProblem(t, http.StatusGatewayTimeout, do(h, get("/traces/"+knownID)))
		require.Contains(t, p.Detail, "query_timeout (10s)")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		response := do(h, get("/traces/"+knownID).WithContext(ctx))
		require.Equal(t, statusClientClosedRequest, response.Code)
		require.Empty(t, response.Body.String())
	})
}

func TestPanic(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	s := settings(&fakeStorage{trace: func(context.Context, string, pcommon.TraceID) ([]ptrace.Traces, error) {
		panic("a bug")
	}})
	s.Logger = zap.New(core)
	requireProblem(t, http.StatusInternalServerError, do(NewHandler(s), get("/traces/"+knownID)))
	require.Equal(t, 1, logs.Len())
	require.Equal(t, "a bug", logs.All()[0].ContextMap()["panic"])
}

func TestPanicWithinAnAnswerCutsTheConnection(t *testing.T) {
	h := &handler{Settings: settings(nil)}
	broken := h.recovered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("a bug")
	}))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { do(broken, get("/")) })
}

func TestCompression(t *testing.T) {
	h := testHandler(stores(shopTrace))
	want := do(h, get("/traces/"+knownID)).Body.String()
	for _, encoding := range []string{"gzip", "zstd"} {
		r := get("/traces/" + knownID)
		r.Header.Set("Accept-Encoding", encoding)
		response := do(h, r)
		require.Equal(t, encoding, response.Header().Get("Content-Encoding"))
		require.Equal(t, "application/json", response.Header().Get("Content-Type"))
		require.Less(t, response.Body.Len(), len(want)/2)
	}

	server := httptest.NewServer(h)
	defer server.Close()
	client := http.Client{Transport: gzhttp.Transport(http.DefaultTransport)}
	defer client.CloseIdleConnections()
	_, body := exchange(t, &client, http.MethodGet, server.URL+"/traces/"+knownID)
	require.Equal(t, want, body)
}

// exchange makes a request over the network.
func exchange(t *testing.T, client *http.Client, method, url string) (header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	return response.Header, string(content)
}
