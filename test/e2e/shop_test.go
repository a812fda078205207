package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shopRequest is one line of what examples/shop says it did.
type shopRequest struct {
	TraceID    string         `json:"trace_id"`
	Kind       string         `json:"kind"` // normal, slow or failing
	Entry      string         `json:"entry"`
	Spans      map[string]int `json:"spans"` // by service
	ErrorSpans int            `json:"error_spans"`
	Services   []string       `json:"services"`
	SpanCount  int            `json:"span_count"`
}

// TestShop is the first experience of a newcomer: a real application under zero-code instrumentation, every trace whole
// and explained, before and after a crash.
func TestShop(t *testing.T) {
	i := startInstance(t)
	requests := runShop(t, i)
	require.Len(t, requests, 300)

	// The SDK has sent everything; a trace is open until its linger is over.
	i.await("every trace stored", func() error {
		for _, request := range requests {
			if trace := i.trace(request.TraceID, nil); trace.SpanCount != request.SpanCount {
				return fmt.Errorf("trace %s has %d spans, want %d", request.TraceID, trace.SpanCount, request.SpanCount)
			}
		}
		return nil
	})
	checkShop(t, i, requests)

	i.stop(syscall.SIGKILL)
	i.start()
	checkShop(t, i, requests)
}

// runShop sends the shop's 300 requests to the instance.
func runShop(t *testing.T, i *instance) []shopRequest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // the first run installs from PyPI
	defer cancel()
	expect := filepath.Join(t.TempDir(), "expect.jsonl")
	venv, err := filepath.Abs(filepath.Join(root, ".cache", "shop-venv"))
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, filepath.Join(root, "examples", "shop", "run.sh"), "--requests", "300", "--expect", expect)
	cmd.Env = append(os.Environ(),
		"OTEL_EXPORTER_OTLP_ENDPOINT="+i.url("OTLP_HTTP", ""),
		"SHOP_VENV="+venv,
		"SHOP_LOGS="+t.TempDir(),
	)
	for name, port := range freePorts(t, "FRONTEND", "ORDERS", "INVENTORY") {
		cmd.Env = append(cmd.Env, "SHOP_"+name+"_PORT="+strconv.Itoa(port))
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops its services
	cmd.WaitDelay = timeout
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))

	file, err := os.Open(expect)
	require.NoError(t, err)
	defer file.Close()
	var requests []shopRequest
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var request shopRequest
		require.NoError(t, json.Unmarshal(lines.Bytes(), &request))
		requests = append(requests, request)
	}
	return requests
}

// checkShop compares every answer with what the shop did.
func checkShop(t *testing.T, i *instance, requests []shopRequest) {
	t.Helper()
	rows := map[string]summaryAnswer{}
	for _, row := range i.searchAll(map[string]any{"limit": 100}) {
		require.NotContains(t, rows, row.TraceID, "a trace is one row")
		rows[row.TraceID] = row
	}
	require.Len(t, rows, len(requests))

	explained := 0 // search rows that say what the trace says
	for _, request := range requests {
		trace := i.trace(request.TraceID, nil)
		checkShopTrace(t, request, trace)
		if checkShopRow(request, rows[request.TraceID]) == nil {
			explained++
		}
	}
	require.GreaterOrEqual(t, explained, len(requests)*95/100, "search rows that are whole and explained")
}

func checkShopTrace(t *testing.T, request shopRequest, trace *traceAnswer) {
	t.Helper()
	name := request.Kind + " " + request.TraceID
	spans, byID := map[string]int{}, map[string]spanAnswer{}
	for _, span := range trace.Spans {
		spans[span.Service]++
		byID[span.SpanID] = span
	}
	require.Equal(t, request.Spans, spans, name)
	require.Equal(t, request.SpanCount, trace.SpanCount, name)
	require.Equal(t, request.ErrorSpans, trace.ErrorCount, name)
	require.Equal(t, request.Services, trace.Services, name)
	require.Equal(t, operationAnswer{"frontend", request.Entry}, trace.Entry, name)
	require.Zero(t, trace.MissingParents, name)
	require.Len(t, trace.Roots, 1, name)
	require.Equal(t, trace.RootDurationNS, pathLength(trace), "%s: the critical path adds up", name)
	checkPathOrder(t, trace)

	root := byID[trace.Roots[0]]
	require.Equal(t, "frontend", root.Service, name)
	require.Equal(t, "server", root.Kind, name)
	for _, span := range trace.Spans {
		if span.SpanID != root.SpanID {
			require.Contains(t, byID, span.ParentSpanID, "%s: %s has its parent", name, span.Operation)
		}
	}

	require.NotNil(t, trace.Bottleneck, name)
	switch request.Kind {
	case "slow":
		require.Equal(t, "inventory", trace.Bottleneck.Service, name)
		require.Equal(t, "SELECT", trace.Bottleneck.Operation, name)
		checkSlowQuery(t, trace, byID[trace.Bottleneck.SpanID], name)
	case "failing":
		require.Len(t, trace.ErrorOrigins, 1, name)
		require.Equal(t, "inventory", trace.ErrorOrigins[0].Service, name)
		require.Equal(t, "POST /reservations", trace.ErrorOrigins[0].Operation, name)
	default:
		require.Empty(t, trace.ErrorOrigins, name)
	}
}

// slowQuery is the least that the slow query takes: the database function in it sleeps 300 ms, by a clock that may be set meanwhile.
const slowQuery = 290 * time.Millisecond

// checkSlowQuery: the bottleneck is the very query that sleeps, and its share is the time for which it holds the critical path, of the
// request's.
func checkSlowQuery(t *testing.T, trace *traceAnswer, query spanAnswer, name string) {
	t.Helper()
	require.Equal(t, "database_operation", query.Category, name)
	statement, _ := query.Attributes["db.query.text"].(string)
	require.Contains(t, statement, "slow_lookup", name)
	require.GreaterOrEqual(t, query.DurationNS, slowQuery.Nanoseconds(), name)
	held := int64(0)
	for _, segment := range trace.CriticalPath {
		if segment.SpanID == query.SpanID {
			held += segment.EndNS - segment.StartNS
		}
	}
	require.Equal(t, query.DurationNS, held, "%s: it calls nobody", name)
	require.InDelta(t, float64(held)/float64(trace.RootDurationNS), trace.Bottleneck.Share, 1e-9, name)
	require.Greater(t, trace.Bottleneck.Share, 0.5, name)
}

// checkPathOrder: segments are disjoint and in time order.
func checkPathOrder(t *testing.T, trace *traceAnswer) {
	t.Helper()
	end := int64(0)
	for _, segment := range trace.CriticalPath {
		require.LessOrEqual(t, end, segment.StartNS, trace.TraceID)
		require.Less(t, segment.StartNS, segment.EndNS, trace.TraceID)
		end = segment.EndNS
	}
}

func checkShopRow(request shopRequest, row summaryAnswer) error {
	switch {
	case row.SpanCount != request.SpanCount:
		return fmt.Errorf("%d spans", row.SpanCount)
	case row.ErrorCount != request.ErrorSpans:
		return fmt.Errorf("%d errors", row.ErrorCount)
	case !slices.Equal(row.Services, request.Services):
		return fmt.Errorf("services %v", row.Services)
	case row.Entry != operationAnswer{"frontend", request.Entry}:
		return fmt.Errorf("entry %v", row.Entry)
	case row.Bottleneck == nil:
		return fmt.Errorf("no bottleneck")
	case request.Kind == "slow" && (row.Bottleneck.Service != "inventory" || row.Bottleneck.Operation != "SELECT"):
		return fmt.Errorf("bottleneck %v", *row.Bottleneck)
	}
	return nil
}

// TestShopSearch finds the shop's traces by what an engineer asks at night.
func TestShopSearch(t *testing.T) {
	i := startInstance(t)
	requests := runShop(t, i)
	ids := map[string][]string{}
	var long []string // the slow ones, and on a busy machine others too
	for _, request := range requests {
		ids[request.Kind] = append(ids[request.Kind], request.TraceID)
		trace := i.trace(request.TraceID, func(trace *traceAnswer) error {
			if trace.SpanCount != request.SpanCount {
				return fmt.Errorf("%d spans", trace.SpanCount)
			}
			return nil
		})
		if trace.DurationNS >= (300 * time.Millisecond).Nanoseconds() {
			long = append(long, request.TraceID)
		}
	}
	require.Subset(t, long, ids["slow"])
	for name, test := range map[string]struct {
		body map[string]any
		want []string
	}{
		"slow database calls": {
			map[string]any{"service": "inventory", "operation": "SELECT", "min_duration": "250ms"},
			ids["slow"],
		},
		"failures in inventory": {
			map[string]any{"service": "inventory", "errors": true},
			ids["failing"],
		},
		"by attribute": {
			map[string]any{"attributes": []any{map[string]any{"key": "http.response.status_code", "op": "=", "value": 502}}},
			ids["failing"],
		},
		"errors with an operator on numbers": {
			map[string]any{"kind": "server", "attributes": []any{map[string]any{"key": "http.response.status_code", "op": ">", "value": 499}}},
			ids["failing"],
		},
		"long traces": {
			map[string]any{"trace_duration": map[string]any{"min": "300ms"}},
			long,
		},
		"nothing": {map[string]any{"service": "nobody"}, nil},
		"another time": {
			map[string]any{"start": "-3h", "end": "-2h"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.body["limit"] = 7 // several pages
			var got []string
			for _, row := range i.searchAll(test.body) {
				got = append(got, row.TraceID)
			}
			require.ElementsMatch(t, test.want, got)
		})
	}
}

// The example says what is wrong when nobody listens.
func TestShopWithoutTracewright(t *testing.T) {
	port := freePorts(t, "NOBODY")["NOBODY"]
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "examples", "shop", "run.sh"))
	endpoint := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "SHOP_VENV="+t.TempDir())
	output, err := cmd.CombinedOutput()
	require.Error(t, err, string(output))
	require.Contains(t, string(output), endpoint)
}
