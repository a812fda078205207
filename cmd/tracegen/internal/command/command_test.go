package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/send"
	"github.com/tracewright/tracewright/cmd/tracegen/internal/truth"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps all spans that it is sent.
type sink struct {
	ptraceotlp.UnimplementedGRPCServer
	mu    sync.Mutex
	spans map[pcommon.SpanID]received
	again int // spans that came more than once
}

type received struct {
	span    ptrace.Span
	service string
	tenant  string
}

func (s *sink) Export(ctx context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	header, _ := metadata.FromIncomingContext(ctx)
	for _, rs := range request.Traces().ResourceSpans().All() {
		service, _ := rs.Resource().Attributes().Get("service.name")
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if _, known := s.spans[span.SpanID()]; known {
					s.again++
				}
				s.spans[span.SpanID()] = received{span, service.Str(), strings.Join(header.Get(send.TenantHeader), "")}
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

func startSink(t *testing.T) (*sink, string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	s := &sink{spans: map[pcommon.SpanID]received{}}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s, listener.Addr().String()
}

// counted is what a reader counts who knows nothing but the spans.
type counted struct {
	traces, edges, operations, entries map[string]string
}

// count is written against the semantic conventions, not against the model.
func (s *sink) count() counted {
	type sums struct{ a, b, c int }
	traces, first, last := map[string]*sums{}, map[string]pcommon.Timestamp{}, map[string]pcommon.Timestamp{}
	roots, edges, operations, entries := map[string]received{}, map[string]*sums{}, map[string]*sums{}, map[string]*sums{}
	add := func(to map[string]*sums, key string, a, b, c int) {
		if to[key] == nil {
			to[key] = &sums{}
		}
		to[key].a, to[key].b, to[key].c = to[key].a+a, to[key].b+b, to[key].c+c
	}
	called := map[pcommon.SpanID]bool{}
	for _, r := range s.spans {
		failed := 0
		if r.span.Status().Code() == ptrace.StatusCodeError {
			failed = 1
		}
		id := r.tenant + " " + hex.EncodeToString(traceBytes(r.span))
		add(traces, id, 1, failed, 0)
		if first[id] == 0 || r.span.StartTimestamp() < first[id] {
			first[id] = r.span.StartTimestamp()
		}
		last[id] = max(last[id], r.span.EndTimestamp())
		add(operations, fmt.Sprintf("%s %s %s %s", r.tenant, r.service, r.span.Name(), strings.ToLower(r.span.Kind().String())), 1, failed, 0)
		if r.span.ParentSpanID().IsEmpty() {
			roots[id] = r
			add(entries, fmt.Sprintf("%s %s %s", r.tenant, r.service, r.span.Name()), 1, failed, 0)
			continue
		}
		parent := s.spans[r.span.ParentSpanID()]
		if parent.span.TraceID() != r.span.TraceID() {
			panic("a parent in another trace")
		}
		if parent.service != r.service {
			called[r.span.ParentSpanID()] = true
			add(edges, fmt.Sprintf("%s %s → %s %s service", r.tenant, parent.service, r.service, protocolOf(r.span)), 1, failed, 0)
		}
	}
	for id, r := range s.spans {
		kind := r.span.Kind()
		if called[id] || kind != ptrace.SpanKindClient && kind != ptrace.SpanKindProducer {
			continue
		}
		failed := 0
		if r.span.Status().Code() == ptrace.StatusCodeError {
			failed = 1
		}
		peer, peerKind := peerOf(r.span)
		key := fmt.Sprintf("%s %s → %s %s %s", r.tenant, r.service, peer, protocolOf(r.span), peerKind)
		if peerKind == "service" {
			add(edges, key, 0, 0, 1)
		} else {
			add(edges, key, 1, failed, 0)
		}
	}
	result := counted{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for id, n := range traces {
		root := roots[id]
		result.traces[id] = fmt.Sprintf("%d spans %d errors %s %s %d %d", n.a, n.b, root.service, root.span.Name(), first[id], last[id]-first[id])
	}
	for to, from := range map[*map[string]string]map[string]*sums{&result.edges: edges, &result.operations: operations, &result.entries: entries} {
		for key, n := range from {
			(*to)[key] = fmt.Sprint(n.a, n.b, n.c)
		}
	}
	return result
}

func traceBytes(span ptrace.Span) []byte {
	id := span.TraceID()
	return id[:]
}

func text(span ptrace.Span, key string) string {
	if v, ok := span.Attributes().Get(key); ok {
		return v.AsString()
	}
	return ""
}

func protocolOf(span ptrace.Span) string {
	for _, key := range []string{"rpc.system.name", "db.system.name", "messaging.system"} {
		if p := text(span, key); p != "" {
			return p
		}
	}
	if text(span, "http.request.method") != "" {
		return "http"
	}
	return "unknown"
}

func peerOf(span ptrace.Span) (name, kind string) {
	address := text(span, "server.address") + ":" + text(span, "server.port")
	switch {
	case text(span, "service.peer.name") != "":
		return text(span, "service.peer.name"), "service"
	case text(span, "db.namespace") != "":
		return text(span, "db.system.name") + ":" + text(span, "db.namespace"), "database"
	case text(span, "db.system.name") != "":
		return address, "database"
	case text(span, "messaging.destination.name") != "":
		return text(span, "messaging.destination.name"), "queue"
	}
	return address, "external"
}

// read turns the file into the words of counted.
func read(t *testing.T, path string) counted {
	t.Helper()
	f, err := readTruth(path)
	require.NoError(t, err)
	c := counted{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for _, l := range f.Traces {
		c.traces[l.Tenant+" "+l.TraceID] = fmt.Sprintf("%d spans %d errors %s %s %d %d", l.Spans, l.Errors, l.Entry.Service, l.Entry.Operation, l.Start.UnixNano(), l.Duration)
	}
	for _, l := range f.Edges {
		c.edges[fmt.Sprintf("%s %s → %s %s %s", l.Tenant, l.Parent, l.Child, l.Protocol, l.Kind)] += fmt.Sprint(l.Calls, l.Errors, l.Unanswered)
	}
	for _, l := range f.Operations {
		c.operations[fmt.Sprintf("%s %s %s %s", l.Tenant, l.Service, l.Operation, l.Kind)] += fmt.Sprint(l.Calls, l.Errors, 0)
	}
	for _, l := range f.Entries {
		c.entries[fmt.Sprintf("%s %s %s", l.Tenant, l.Service, l.Operation)] += fmt.Sprint(l.Traces, l.Errors, 0)
	}
	return c
}

// The truth that a run writes is what a reader counts who got its spans.
func TestTruthIsWhatWasSent(t *testing.T) {
	for name, args := range map[string][]string{
		"plain":      {"--total", "1500"},
		"with rate":  {"--total", "60", "--rate", "100", "--batch-delay", "100ms", "--concurrency", "2"},
		"reuse":      {"--total", "1100", "--reuse", "250"},
		"reuse rate": {"--total", "130", "--reuse", "40", "--rate", "300", "--batch-delay", "50ms"},
		"duration":   {"--duration", "300ms", "--reuse", "1200"},
		"late":       {"--total", "300", "--late", "5%:100ms-400ms", "--shuffle", "50ms"},
		"tenants":    {"--total", "300", "--tenants", "3"},
		"arrival": {
			"--total", "100", "--rate", "300", "--batch-delay", "50ms", "--jitter", "50%", "--burst", "5x/50ms/200ms",
			"--behind", "inventory:100ms", "--behind", "catalog:200ms", "--consumer-delay", "50ms-300ms",
		},
		"faults": {
			"--total", "1500", "--fault", "inventory:errors=20%", "--fault", "payment:latency=x5", "--fault", "inventory:context=12%",
			"--fault", "warehouse:context=50%", "--fault", "checkout:retries",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, address := startSink(t)
			path := filepath.Join(t.TempDir(), "e.jsonl")
			var out, errs strings.Builder
			before := time.Now()
			status := Run(t.Context(), append(args, "--endpoint", address, "--expect", path, "--seed", "42"), &out, &errs)
			require.Zero(t, status, errs.String())
			got, want := read(t, path), s.count()
			require.Equal(t, want.traces, got.traces)
			require.Equal(t, want.edges, got.edges)
			require.Equal(t, want.operations, got.operations)
			require.Equal(t, want.entries, got.entries)
			require.Zero(t, s.again)
			require.Contains(t, out.String(), fmt.Sprintf("sent %d spans of %d traces in ", len(s.spans), len(want.traces)))
			if name == "with rate" {
				require.Regexp(t, `, [0-9.]+ traces/s, up to [0-9.]+ ms late\n$`, out.String())
			}
			for _, r := range s.spans {
				require.WithinRange(t, r.span.StartTimestamp().AsTime(), before.Add(-2*time.Minute), time.Now())
				require.WithinRange(t, r.span.EndTimestamp().AsTime(), before.Add(-2*time.Minute), time.Now())
			}
			if name == "faults" {
				unanswered := 0
				for _, counts := range got.edges {
					if !strings.HasSuffix(counts, " 0") {
						unanswered++
					}
				}
				require.Positive(t, unanswered)
			}
		})
	}
}

func TestSeedDecides(t *testing.T) {
	ids := func(seed string) map[pcommon.SpanID]string {
		s, address := startSink(t)
		var out, errs strings.Builder
		require.Zero(t, Run(t.Context(), []string{"--total", "50", "--endpoint", address, "--seed", seed}, &out, &errs), errs.String())
		result := map[pcommon.SpanID]string{}
		for id, r := range s.spans {
			result[id] = fmt.Sprint(r.span.Name(), r.span.EndTimestamp()-r.span.StartTimestamp(), r.span.Attributes().AsRaw())
		}
		return result
	}
	first, again := ids("7"), ids("7")
	require.Equal(t, first, again)
	require.NotEqual(t, first, ids("8"))
	first, again = ids("0"), ids("0")
	require.NotEqual(t, first, again, "another one each time")
}

func TestCommandLineFaults(t *testing.T) {
	for args, want := range map[string]string{
		"--protocol udp":          `--protocol must be grpc or http, not "udp"`,
		"--rate -1":               "--rate must not be negative",
		"--rate NaN":              "--rate must not be negative",
		"--total 5 --duration 1s": "--total and --duration: give one of them",
		"--total -1":              "--total must be between",
		"--concurrency 0":         "--concurrency must be between",
		"--batch-delay 1s":        "--batch-delay needs --rate",
		"--jitter 10%":            "--jitter needs --rate",
		"--rate 1 --jitter 200%":  "is no share",
		"--burst 20x/2s/20s":      "--burst needs --rate",
		"--rate 1 --burst 20x":    "write it as 20x/2s/20s",
		"--rate 10000 --duration 1h --burst 20x/2s/20s": "whole periods, of 200000 traces each",
		"--behind nobody:3s":                            "no service \"nobody\"",
		"--consumer-delay 30s-2s":                       "is no range of delays",
		"--rate 1 --span-window 1s":                     "--span-window is for runs without --rate",
		"--span-window 2h":                              "--span-window must be positive and at most 1h",
		"--rate 1e9 --duration 1h":                      "must not be more than",
		"--rate 1 --batch-delay 0s":                     "--batch-delay must be positive",
		"--shuffle -1s":                                 "--shuffle must not be negative",
		"--tenants -1":                                  "--tenants must be between",
		"--late 200%":                                   "is no share",
		"--dup x":                                       "is no share",
		"--fault nobody:errors=1%":                      "no service",
		"--protocol http --endpoint http://%":           "is no address",
		"--header secret":                               `--header: a header without "="`,
		"replay a --header x\x01=secret":                "--header: a header whose name is none",
		"verify a --header secret":                      `--header: a header without "="`,
		"--header-file /nowhere/h":                      "--header-file: open /nowhere/h",
		"--ca-file /nowhere/ca.pem":                     "--ca-file: open /nowhere/ca.pem",
		"--fault payment:capacity=400":                  "capacity needs --rate",
		"extra":                                         `what is "extra"?`,
		"--unknown":                                     "flag provided but not defined: -unknown",
		"verify":                                        "verify needs the file",
		"verify a b":                                    `what is "b"?`,
		"verify a --only spans":                         `--only must be traces, not "spans"`,
		"verify a --concurrency 0":                      "--concurrency must be positive",
	} {
		var out, errs strings.Builder
		require.Equal(t, exitUsage, Run(t.Context(), strings.Fields(args), &out, &errs), args)
		require.Contains(t, errs.String(), want, args)
		require.NotContains(t, errs.String(), "secret")
		require.Empty(t, out.String())
	}
	var out, errs strings.Builder
	require.Equal(t, exitUsage, Run(t.Context(), []string{"--rate", "-1", "--tenants", "-1"}, &out, &errs))
	require.Contains(t, errs.String(), "--rate must not be negative\n--tenants must be", "all faults, one a line")
}

// What others say reaches no terminal as it is.
func TestTextIsPrintable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("\x1b[2Jgone\x9b für\u202e"))
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "e.jsonl")
	writeFile(t, path, `{"type":"run"}{"type":"trace","trace_id":"aa","span_count":1}{"type":"end","traces":1}`)
	var out, errs strings.Builder
	require.Equal(t, exitFailed, Run(t.Context(), []string{"verify", path, "--api", server.URL, "--timeout", "0s"}, &out, &errs))
	require.Contains(t, errs.String(), `\x1b[2Jgone\x9b für\u202e`)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"verify", "-h"}} {
		var out, errs strings.Builder
		require.Zero(t, Run(t.Context(), args, &out, &errs))
		require.Contains(t, out.String(), "\n  --concurrency int\n")
		require.Empty(t, errs.String())
	}
}

func TestRunFails(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.json")
	require.NoError(t, os.WriteFile(empty, []byte(`{"resourceSpans": []}`), 0o600))
	for _, args := range [][]string{
		{"--total", "10", "--endpoint", "localhost:1", "--give-up", "0s"},
		{"--total", "10", "--endpoint", "localhost:1", "--expect", "/nowhere/e.jsonl"},
		{"verify", "/nowhere/e.jsonl"},
		{"replay", empty},
	} {
		var out, errs strings.Builder
		require.Equal(t, exitFailed, Run(t.Context(), args, &out, &errs), "%v", args)
		require.Contains(t, errs.String(), "tracegen: ")
	}
}

// What is wrong with the command line is found before the truth of an earlier run is lost.
func TestFaultsLeaveTheTruthOfBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("before"), 0o600))
	var out, errs strings.Builder
	require.Equal(t, exitUsage, Run(t.Context(), []string{"--expect", path, "--endpoint", "ftp://localhost"}, &out, &errs))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "before", string(content))
}

// A run that was cut short leaves no truth that verify would believe.
func TestInterrupted(t *testing.T) {
	_, address := startSink(t)
	path := filepath.Join(t.TempDir(), "e.jsonl")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var out, errs strings.Builder
	require.Equal(t, exitFailed, Run(ctx, []string{"--rate", "10", "--total", "100", "--endpoint", address, "--expect", path}, &out, &errs))
	require.Contains(t, errs.String(), "the run was cut short: context deadline exceeded")
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	_, err = truth.Read(in)
	require.ErrorContains(t, err, "cut short")
}

// An interrupt ends the encoding too, and the writing of the truth.
func TestInterruptedBeforeAndAfterSending(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	require.Equal(t, exitFailed, Run(ctx, []string{"--total", "2000"}, &out, &errs))
	require.Equal(t, "tracegen: the run was cut short: context canceled\n", errs.String(), "it says nothing of what it encoded")

	o := options{total: 10}
	model := shop.New(o.shop())
	segments, err := encode(t.Context(), model, &o, &errs)
	require.NoError(t, err)
	result := &send.Result{Cycles: []send.Cycle{{Plan: segments[0].Plan, Visits: 10}}}
	require.NoError(t, writeTruth(t.Context(), io.Discard, model, &o, result))
	require.ErrorIs(t, writeTruth(ctx, io.Discard, model, &o, result), context.Canceled)
}
