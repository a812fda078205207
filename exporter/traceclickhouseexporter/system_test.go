package traceclickhouseexporter

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/callexport/callexporttest"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/testservers"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
)

// patience is how long the slowest machine may take for anything.
const patience = time.Minute

// server is a ClickHouse with the schema, which is reached over HTTP: over the native protocol some faults end it.
type server struct {
	*testservers.ClickHouse
	store *clickhousestore.Store
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{ClickHouse: testservers.StartClickHouse(t)}
	store, err := clickhousestore.Open(clickhousestore.Options{
		Endpoint: "http://" + s.HTTP, Username: testservers.ClickHouseUser, Password: testservers.ClickHousePassword,
		CreateSchema: true, Variant: clickhousestore.VariantPlain,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, store.Ready(ctx))
	s.store = store
	return s
}

// ask runs a statement and answers what it prints.
func (s *server) ask(t *testing.T, sql string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.HTTP+"/?database=tracewright", strings.NewReader(sql))
	require.NoError(t, err)
	request.SetBasicAuth(testservers.ClickHouseUser, testservers.ClickHousePassword)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	return strings.TrimSpace(string(body))
}

// counted is what the tables have of a tenant: spans, when traces were released, spans of traces, calls of operations and of edges, calls for
// entries, spans that break a rule, and traces that entered.
func (s *server) counted(t *testing.T, tenant string) string {
	t.Helper()
	var parts []string
	for _, part := range []string{
		"count() FROM otel_traces", "count() FROM trace_times", "sum(Spans) FROM traces", "sum(Calls) FROM rollup_operations",
		"sum(Calls) FROM rollup_edges", "sum(Calls) FROM rollup_entry_operations WHERE NOT Failure", "sum(Spans) FROM rollup_contexts",
		"sum(Traces) FROM rollup_entries WHERE Key = ''",
	} {
		and := " WHERE "
		if strings.Contains(part, and) {
			and = " AND "
		}
		parts = append(parts, "(SELECT "+part+and+"Tenant = '"+tenant+"')")
	}
	return s.ask(t, "SELECT "+strings.Join(parts, ", "))
}

// requireCounted waits until the tables have n spans of a tenant, and holds that they have each once.
func (s *server) requireCounted(t *testing.T, tenant string, n int) {
	t.Helper()
	want := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d\t", n), 8), "\t")
	got := ""
	for deadline := time.Now().Add(patience); got != want && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = s.counted(t, tenant)
	}
	require.Equal(t, want, got)
}

var calls atomic.Uint32

// call is one of n traces of a span each, that was called, enters and breaks a rule.
func call(tenant string, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutStr(conventions.AttrTenant, tenant)
	now := time.Now()
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, now.UnixNano())
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	number := calls.Add(1)
	for i := range n {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 10: byte(number >> 8), 11: byte(number), 14: byte(i >> 8), 15: byte(i)})
		span.SetSpanID(pcommon.SpanID{7: 1})
		span.SetName("GET /")
		span.SetKind(ptrace.SpanKindServer)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
		span.Attributes().PutStr(conventions.AttrEntryService, "shop")
		span.Attributes().PutStr(conventions.AttrEntryOperation, "GET /")
		span.Attributes().PutStr(conventions.AttrParentService, "web")
		span.Attributes().PutStr(conventions.AttrParentOperation, "fetch")
		span.Attributes().PutEmptySlice(conventions.AttrViolations).AppendEmpty().SetStr(conventions.ViolationMissingSpanName)
	}
	return td
}

// startGateway starts an exporter whose queue is in the folder; none where it is empty.
func startGateway(t *testing.T, address, folder string, change func(*Config)) *callexporttest.Gateway {
	t.Helper()
	config := createDefaultConfig().(*Config)
	config.Endpoint, config.Username, config.Password = "http://"+address, testservers.ClickHouseUser, testservers.ClickHousePassword
	config.Timeout.Timeout = 10 * time.Second
	config.Retry.InitialInterval, config.Retry.MaxInterval = 50*time.Millisecond, 500*time.Millisecond
	if folder != "" {
		callexporttest.KeepQueue(&config.Queue, 2)
	}
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	return callexporttest.Start(t, NewFactory(), config, folder)
}

// proxy stands before a server and loses what it is told to.
type proxy struct {
	*httptest.Server
	lose atomic.Int32 // how many answers to inserts are lost
	cut  atomic.Int32 // how many inserts are cut in the middle
}

func startProxy(t *testing.T, s *server) *proxy {
	t.Helper()
	p := &proxy{}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.HTTP})
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ContentLength >= 0 && r.ContentLength < 1000: // no insert of ours
		case p.cut.Add(-1) >= 0:
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 500), failing{}))
		case p.lose.Add(-1) >= 0:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	p.Config.ErrorLog = nil
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) address() string { return p.Listener.Addr().String() }

// failing is the end of a connection.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
