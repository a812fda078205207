package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/health"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/metadata"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/sources"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// fakeStorage answers what its functions say; a nil one finds nothing.
type fakeStorage struct {
	tracestore.AggregateReader // panics where it is not overridden below
	tracestore.CatalogueReader
	tracestore.Writer

	trace  func(ctx context.Context, tenant string, id pcommon.TraceID) ([]ptrace.Traces, error)
	search func(ctx context.Context, tenant string, query *tracestore.SearchQuery) (tracestore.SearchPage, error)

	operations   []tracestore.OperationAggregate
	edges        []tracestore.EdgeAggregate
	entries      []tracestore.EntryAggregate
	parts        []tracestore.EntryOperationAggregate
	contexts     []tracestore.ContextAggregate
	contrasts    []tracestore.ContrastAggregate
	failures     func(query *tracestore.AggregateQuery) []tracestore.ErrorAggregate
	completeness tracestore.Completeness
	// asked is the last question about aggregates.
	asked       tracestore.AggregateQuery
	askedTenant string
}

func (s *fakeStorage) Operations(
	_ context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.OperationAggregate, error] {
	s.asked, s.askedTenant = *query, tenant
	return every(s.operations)
}

func (s *fakeStorage) Edges(_ context.Context, _ string, query *tracestore.AggregateQuery) iter.Seq2[tracestore.EdgeAggregate, error] {
	s.asked = *query
	return every(s.edges)
}

func (s *fakeStorage) Entries(context.Context, string, *tracestore.AggregateQuery) iter.Seq2[tracestore.EntryAggregate, error] {
	return every(s.entries)
}

func (s *fakeStorage) EntryOperations(
	context.Context, string, *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryOperationAggregate, error] {
	return every(s.parts)
}

func (s *fakeStorage) Contexts(_ context.Context, _ string, query *tracestore.AggregateQuery) iter.Seq2[tracestore.ContextAggregate, error] {
	s.asked = *query
	return every(s.contexts)
}

func (s *fakeStorage) Errors(_ context.Context, _ string, query *tracestore.AggregateQuery) iter.Seq2[tracestore.ErrorAggregate, error] {
	if s.failures == nil {
		return every[tracestore.ErrorAggregate](nil)
	}
	return every(s.failures(query))
}

func (s *fakeStorage) Contrasts(context.Context, string, *tracestore.AggregateQuery) iter.Seq2[tracestore.ContrastAggregate, error] {
	return every(s.contrasts)
}

func (s *fakeStorage) Completeness(context.Context, string, *tracestore.AggregateQuery) (tracestore.Completeness, error) {
	return s.completeness, nil
}

func every[T any](values []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, value := range values {
			if !yield(value, nil) {
				return
			}
		}
	}
}

func (s *fakeStorage) Trace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		if s.trace == nil {
			yield(ptrace.Traces{}, tracestore.ErrNotFound)
			return
		}
		releases, err := s.trace(ctx, tenant, id)
		for _, release := range releases {
			if !yield(release, nil) {
				return
			}
		}
		if err != nil {
			yield(ptrace.Traces{}, err)
		}
	}
}

func (s *fakeStorage) Search(
	ctx context.Context, tenant string, query *tracestore.SearchQuery,
) (tracestore.SearchPage, error) {
	if s.search == nil {
		return tracestore.SearchPage{}, nil
	}
	return s.search(ctx, tenant, query)
}

func (s *fakeStorage) Delete(context.Context, string, pcommon.TraceID) error {
	return tracestore.ErrNotFound
}

// stores always answers with the release.
func stores(release func() ptrace.Traces) *fakeStorage {
	return &fakeStorage{trace: func(context.Context, string, pcommon.TraceID) ([]ptrace.Traces, error) {
		return []ptrace.Traces{release()}, nil
	}}
}

const (
	knownID      = "0102030405060708090a0b0c0d0e0f10"
	tenantHeader = "x-tracewright-tenant"
)

var testNow = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func settings(s *fakeStorage) Settings {
	return Settings{
		Service: &query.Service{
			Storage:  func() (tracestore.Backend, error) { return s, nil },
			InFlight: new(query.InFlight),
			Timeout:  10 * time.Second,
			Memory:   query.Memory{PerRequest: 1 << 20, Total: 1 << 20},
		},
		Telemetry:    nopTelemetry(),
		Health:       new(health.Watch),
		Logger:       zap.NewNop(),
		TenantHeader: tenantHeader,
		AllowedHosts: []string{"example.com"}, // of httptest
		Loopback:     true,
		Sources:      new(sources.Registry),
		BackupDir:    "/backups",
	}
}

func nopTelemetry() *metadata.TelemetryBuilder {
	builder, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	if err != nil {
		panic(err)
	}
	return builder
}

func testHandler(s *fakeStorage) http.Handler {
	return newHandler(settings(s), func() time.Time { return testNow })
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder
}

func get(target string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, http.NoBody)
}

func postSearch(body string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/traces/search", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func deleteTrace(id string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodDelete, "/traces/"+id, http.NoBody)
	r.Host = "localhost:16686"
	return r
}

func postBackup(body string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/admin/backup", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Host = "localhost:16686"
	return r
}

// backuper is a storage that says where it would have been copied to.
type backuper struct {
	*fakeStorage
	err  error
	dirs *[]string
}

func (b backuper) Backup(_ context.Context, dir string) (int64, error) {
	if b.dirs != nil {
		*b.dirs = append(*b.dirs, dir)
	}
	return 42, b.err
}

// problemAnswer is a problem as a client reads it.
type problemAnswer struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	faultAnswer
	Errors   []faultAnswer `json:"errors"`
	InFlight *bool         `json:"in_flight"`
}

type faultAnswer struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// requireProblem checks that the answer is a problem of this status, with the headers every answer has.
func requireProblem(t *testing.T, status int, response *httptest.ResponseRecorder) problemAnswer {
	t.Helper()
	body := response.Body.String()
	require.Equal(t, status, response.Code, body)
	require.Equal(t, "application/problem+json", response.Header().Get("Content-Type"))
	requireSafe(t, response)
	var p problemAnswer
	require.NoError(t, json.Unmarshal([]byte(body), &p), body)
	require.Equal(t, "about:blank", p.Type)
	require.Equal(t, http.StatusText(status), p.Title)
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Detail)
	return p
}

func requireSafe(t *testing.T, response *httptest.ResponseRecorder) {
	t.Helper()
	for _, header := range safeHeaders {
		require.Equal(t, []string{header[1]}, response.Header().Values(header[0]))
	}
}

func storageOf(backend tracestore.Backend) func() (tracestore.Backend, error) {
	return func() (tracestore.Backend, error) { return backend, nil }
}

func parsedID(t *testing.T) pcommon.TraceID {
	t.Helper()
	id, err := parseTraceID(knownID)
	require.NoError(t, err)
	return id
}
