package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// liveHandler is a handler over an empty store.
func liveHandler(stopping <-chan struct{}) (http.Handler, *memstore.Store) {
	store := memstore.New(24*time.Hour, func() time.Time { return testNow })
	s := settings(nil)
	s.Service.Storage = func() (tracestore.Backend, error) { return store, nil }
	s.Stopping = stopping
	return newHandler(s, func() time.Time { return testNow }), store
}

// oneSpan is a call of n traces of one span each, which took so many milliseconds.
func oneSpan(tenant, service string, ms, n int, failed bool) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := shopService(td, service)
	td.ResourceSpans().At(0).Resource().Attributes().PutStr(conventions.AttrTenant, tenant)
	for i := range n {
		span := shopSpan(spans, "GET /<"+service+">", 1, 0, ptrace.SpanKindServer, 0, ms)
		span.SetTraceID(pcommon.TraceID{0: byte(ms), 1: service[0], 14: byte(i >> 8), 15: byte(i)})
		if failed {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	return annotated(td)
}

// event is one that was read.
type event struct {
	name, data string
}

// readEvent reads the next event; comments are events without a name.
func readEvent(t *testing.T, lines *bufio.Scanner) (e event) {
	t.Helper()
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			return e
		case name == "event":
			e.name = value
		default:
			e.data = value
		}
	}
	require.NoError(t, lines.Err())
	return event{name: "EOF"}
}

// follow asks a server to tell, and waits until it follows.
func follow(t *testing.T, server *httptest.Server, tenant, query string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/traces/live"+query, http.NoBody)
	require.NoError(t, err)
	r.Header.Set(tenantHeader, tenant)
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Empty(t, response.Header.Get("Content-Encoding"))
	require.Empty(t, response.Header.Get("No-Gzip-Compression"))
	lines := bufio.NewScanner(response.Body)
	require.Equal(t, event{data: "following"}, readEvent(t, lines))
	return lines
}

func TestTail(t *testing.T) {
	stopping := make(chan struct{})
	h, store := liveHandler(stopping)
	server := httptest.NewServer(h)
	defer server.Close()
	everything := follow(t, server, "", "")
	failures := follow(t, server, "", "?service=b&errors=true&operation=GET%20/%3Cb%3E&min_duration=20ms&min_trace_duration=20ms")
	theirs := follow(t, server, "theirs", "")

	calls := []ptrace.Traces{
		oneSpan("", "a", 30, 1, true), oneSpan("", "b", 10, 1, true), oneSpan("theirs", "b", 30, 1, true), oneSpan("", "b", 30, 1, false),
		oneSpan("", "b", 20, 1, true),
	}
	for _, call := range calls {
		require.NoError(t, store.WriteCall(t.Context(), call))
	}
	next := func(lines *bufio.Scanner) string {
		e := readEvent(t, lines)
		require.Equal(t, "trace", e.name)
		var row openapi.TraceSummary
		require.NoError(t, json.Unmarshal([]byte(e.data), &row))
		require.Contains(t, e.data, "GET /<"+row.Entry.Service+">", "not escaped for HTML")
		return row.Entry.Service + " " + time.Duration(row.DurationNS).String()
	}
	for _, want := range []string{"a 30ms", "b 10ms", "b 30ms", "b 20ms"} {
		require.Equal(t, want, next(everything))
	}
	require.Equal(t, "b 20ms", next(failures))
	require.Equal(t, "b 30ms", next(theirs))
	close(stopping)
	for _, lines := range []*bufio.Scanner{everything, failures, theirs} {
		require.Equal(t, event{"end", `{"reason":"stopping","missed":0}`}, readEvent(t, lines))
		require.Equal(t, "EOF", readEvent(t, lines).name)
	}
}

func TestTailEndsWithItsStorage(t *testing.T) {
	h, store := liveHandler(nil)
	server := httptest.NewServer(h)
	defer server.Close()
	lines := follow(t, server, "", "")
	store.Close()
	require.Equal(t, event{"end", `{"reason":"stopping","missed":0}`}, readEvent(t, lines))
}

// stuckWriter takes nothing once it is told to wait.
type stuckWriter struct {
	*httptest.ResponseRecorder
	wait chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "event: trace") {
		<-w.wait
	}
	return w.ResponseRecorder.Write(p)
}

// A client that takes nothing holds up no writer, and is told in the end how many traces it was not told of.
func TestSlowClientIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := liveHandler(nil)
		w := &stuckWriter{httptest.NewRecorder(), make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(w, get("/traces/live"))
		}()
		synctest.Wait()
		require.NoError(t, store.WriteCall(t.Context(), oneSpan("", "a", 1, 1, false)))
		synctest.Wait() // it holds one
		for ms := range 30 {
			require.NoError(t, store.WriteCall(t.Context(), oneSpan("", "b", ms, 50, false)))
		}
		synctest.Wait()
		close(w.wait)
		<-done
		require.Equal(t, 1, strings.Count(w.Body.String(), "event: trace"))
		require.True(t, strings.HasSuffix(w.Body.String(), "event: end\ndata: {\"reason\":\"too_slow\",\"missed\":1500}\n\n"), w.Body.String())
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := liveHandler(nil)
		ctx, cancel := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(w, get("/traces/live").WithContext(ctx))
		}()
		time.Sleep(2*heartbeat + time.Second)
		cancel()
		<-done
		require.Equal(t, ": following\n\n: still following\n\n: still following\n\n", w.Body.String())
	})
}

func TestTailRequests(t *testing.T) {
	h, _ := liveHandler(nil)
	head := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/traces/live", http.NoBody)
	require.Equal(t, "text/event-stream", do(h, head).Header().Get("Content-Type"))
	for target, field := range map[string]string{
		"?service=":            "service",
		"?errors=yes":          "errors",
		"?min_duration=5":      "min_duration",
		"?min_trace_duration=": "min_trace_duration",
		"?start=-1h":           "start",
	} {
		require.Equal(t, field, requireProblem(t, http.StatusBadRequest, do(h, get("/traces/live"+target))).Field)
	}
	requireProblem(t, http.StatusNotImplemented, do(testHandler(&fakeStorage{}), get("/traces/live")))
}

// Many clients of one tenant leave place for others, and all together have a bound.
func TestTailsAreBounded(t *testing.T) {
	h, store := liveHandler(nil)
	s := settings(nil)
	s.Service.Storage = func() (tracestore.Backend, error) { return store, nil }
	h = NewHandler(s)
	tail := func(tenant string) *query.Tail {
		tail, err := s.Service.Tail(t.Context(), tenant, &tracestore.Conditions{})
		require.NoError(t, err)
		return tail
	}
	ask := func(tenant string) string {
		r := get("/traces/live")
		r.Header.Set(tenantHeader, tenant)
		response := do(h, r)
		require.Equal(t, "10", response.Header().Get("Retry-After"))
		return requireProblem(t, http.StatusTooManyRequests, response).Detail
	}
	var tails []*query.Tail
	for i := range query.MaxTails {
		tenant := string(rune('a' + i/query.MaxTenantTails))
		tails = append(tails, tail(tenant))
		if i == query.MaxTenantTails-1 {
			require.Contains(t, ask("a"), "16 clients of this tenant follow already")
		}
	}
	require.Contains(t, ask("z"), "64 clients follow already")
	tails[0].Close()
	tails[0].Close() // counts once
	last := tail("z")
	require.Contains(t, ask("z"), "64 clients follow already")
	for _, tail := range append(tails, last) {
		tail.Close()
	}
	tail("z").Close()
}
