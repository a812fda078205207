package api

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// fakeManager keeps sources and runs none.
type fakeManager struct {
	stored     []tracesources.Stored
	listErr    error
	changeErr  error
	onLoopback bool // what was said of the last change
}

func (m *fakeManager) Sources(context.Context) ([]tracesources.Stored, error) {
	return m.stored, m.listErr
}

func (m *fakeManager) Put(_ context.Context, source tracesources.Source, after int64, onLoopback bool) (tracesources.Stored, error) {
	m.onLoopback = onLoopback
	if m.changeErr != nil {
		return tracesources.Stored{}, m.changeErr
	}
	for i := range m.stored {
		if m.stored[i].Name == source.Name {
			m.stored[i].Source, m.stored[i].Version = source, after+1
			return m.stored[i], nil
		}
	}
	m.stored = append(m.stored, tracesources.Stored{Source: source, Version: after + 1, Changed: testNow})
	return m.stored[len(m.stored)-1], nil
}

func (m *fakeManager) Delete(_ context.Context, name string, _ int64) error {
	if m.changeErr != nil {
		return m.changeErr
	}
	for i := range m.stored {
		if m.stored[i].Name == name {
			m.stored = append(m.stored[:i], m.stored[i+1:]...)
			break
		}
	}
	return nil
}

// ordersSource has every member that a source can have.
func ordersSource() tracesources.Stored {
	return tracesources.Stored{
		Source: tracesources.Source{
			Name: "orders", Type: "otlp", Enabled: true, Tenant: "acme", Labels: map[string]string{"team": "red"},
			Limits:        tracesources.Limits{SpansPerSecond: 10},
			Configuration: map[string]any{"protocols": map[string]any{"grpc": map[string]any{"endpoint": "localhost:5317", "token": map[string]any{"secret": "name"}}}},
		},
		Version: 3, Changed: testNow,
		Instances: []tracesources.Instance{{
			ID: "one", Host: "pod-1", Version: 2, Health: tracesources.Degraded, Error: "the newest does not start", Since: testNow, Reported: testNow,
			Warning: &tracesources.Warning{At: testNow, Text: "no broker"},
			Intake: tracesources.Intake{
				Spans: 7, SpansPerSecond: 0.5, LastSeen: testNow, Services: []string{"inventory", "orders"},
				Rejected: map[tracesources.Reason]int64{tracesources.OverLimit: 1, tracesources.Permanent: 2},
				SDKs:     []tracesources.SDK{{Name: "opentelemetry", Language: "go", Version: "1"}},
			},
		}},
	}
}

func sourcesHandler(t *testing.T, m tracesources.Manager, change func(*Settings)) http.Handler {
	t.Helper()
	s := settings(&fakeStorage{})
	store := memstore.New(time.Hour, func() time.Time { return testNow })
	s.Service.Storage = func() (tracestore.Backend, error) { return store, nil }
	if m != nil {
		_, err := s.Sources.Register(m)
		require.NoError(t, err)
	}
	conf := confmap.NewFromStringMap(map[string]any{
		"receivers": map[string]any{
			"otlp":         map[string]any{"protocols": map[string]any{"grpc": map[string]any{"endpoint": "localhost:4317"}}},
			"kafka/orders": map[string]any{"auth": map[string]any{"password": "hunter2"}, "brokers": []any{"${env:BROKER}"}, "client_id": "${env:ID}"},
			"unused":       nil, "trace_sources": nil, "hostmetrics": nil,
		},
		"service": map[string]any{"pipelines": map[string]any{
			"traces":   map[string]any{"receivers": []any{"otlp", "trace_sources", "kafka/orders", "forward"}},
			"traces/2": map[string]any{"receivers": []any{"otlp"}}, "metrics": map[string]any{"receivers": []any{"hostmetrics"}},
		}},
	})
	effective := confmap.NewFromStringMap(conf.ToStringMap())
	require.NoError(t, effective.Merge(confmap.NewFromStringMap(map[string]any{"receivers": map[string]any{
		"kafka/orders": map[string]any{"brokers": []any{"kafka:9092"}, "client_id": "who knows", "more": "a default"},
	}})))
	require.NoError(t, s.Sources.Configure(effective, conf))
	if change != nil {
		change(&s)
	}
	return newHandler(s, func() time.Time { return testNow })
}

func sourceRequest(method, id, body string) *http.Request {
	target := "/traces/sources"
	if id != "" {
		target += "/" + id
	}
	r := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	r.Host = "localhost:16686"
	r.Header.Set("Content-Type", "application/json")
	return r
}

func sourceAnswer(t *testing.T, status int, response *httptest.ResponseRecorder) (answer openapi.Source) {
	t.Helper()
	require.Equal(t, status, response.Code, response.Body.String())
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &answer))
	return answer
}

func TestSourcesAreListed(t *testing.T) {
	m := &fakeManager{stored: []tracesources.Stored{ordersSource(), {Source: tracesources.Source{Name: "paused", Type: "zipkin", Configuration: map[string]any{}}, Version: 1}}}
	h := sourcesHandler(t, m, nil)
	list := getJSON[openapi.SourcesAnswer](t, h, "/traces/sources").Sources
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	require.Equal(t, []string{"orders", "paused", "config:kafka/orders", "config:otlp"}, ids)
	orders := list[0]
	require.Equal(t, "acme", *orders.Tenant)
	require.EqualValues(t, m.stored[0].Configuration, orders.Configuration, "the name of a secret is none")
	require.Equal(t, int64(3), *orders.Version)
	require.Equal(t, "2026-01-02T12:00:00.000000000Z", *orders.Changed)
	i := orders.Instances[0]
	require.Equal(t, openapi.SourceInstanceHealth("degraded"), i.Health)
	require.Equal(t, openapi.SourceWarning{Time: "2026-01-02T12:00:00.000000000Z", Text: "no broker"}, *i.LastWarning)
	require.Equal(t, int64(1), *i.Rejected.Limit)
	require.Nil(t, i.Rejected.Retryable)
	require.Equal(t, int64(7), i.Spans)
	require.False(t, list[1].Enabled)
	require.Nil(t, list[1].Limits)

	kafka := list[2]
	require.True(t, kafka.ReadOnly)
	require.Equal(t, "orders", kafka.Name)
	require.Equal(t, "kafka", kafka.Type)
	require.Equal(t, openapi.SourceConfiguration{
		"auth": map[string]any{"password": tracesources.Redacted}, "brokers": []any{"kafka:9092"}, "client_id": "${env:ID}",
	}, kafka.Configuration, "addresses are those that hold, the rest is as it was written")
	require.Equal(t, kafka, sourceAnswer(t, 200, do(h, sourceRequest("GET", "config:kafka%2Forders", ""))))
	require.Equal(t, orders, sourceAnswer(t, 200, do(h, sourceRequest("GET", "orders", ""))))
}

// contextless does not say how the trace context comes across: it fails, or takes for ever where there is no failure.
type contextless struct {
	tracestore.Backend
	failure error
}

func (c contextless) Contexts(
	ctx context.Context, _ string, _ *tracestore.AggregateQuery,
) iter.Seq2[tracestore.ContextAggregate, error] {
	return func(yield func(tracestore.ContextAggregate, error) bool) {
		if c.failure != nil {
			yield(tracestore.ContextAggregate{}, c.failure)
			return
		}
		<-ctx.Done()
	}
}

// Sources are answered without the context accuracy where that cannot be read, or not soon; also one that was just changed.
func TestSourcesWithoutContextAccuracy(t *testing.T) {
	for name, failure := range map[string]error{"fails": errors.New("broken"), "takes for ever": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &fakeManager{}
				for _, tenant := range []string{"red", "green", "blue"} {
					source := ordersSource()
					source.Name, source.Tenant = tenant, tenant
					m.stored = append(m.stored, source)
				}
				h := sourcesHandler(t, m, func(s *Settings) {
					s.Service.Storage = func() (tracestore.Backend, error) { return contextless{failure: failure}, nil }
				})
				began := time.Now()
				response := do(h, sourceRequest("GET", "", ""))
				require.Equal(t, 200, response.Code, response.Body)
				require.LessOrEqual(t, time.Since(began), time.Second)
				var all openapi.SourcesAnswer
				require.NoError(t, json.Unmarshal(response.Body.Bytes(), &all))
				for i, tenant := range []string{"red", "green", "blue"} {
					require.Equal(t, tenant, all.Sources[i].Name)
					require.Nil(t, all.Sources[i].ContextAccuracy)
				}
				require.EqualValues(t, 4, *sourceAnswer(t, 200, do(h, sourceRequest("PUT", "red", `{"enabled": false}`))).Version)
			})
		})
	}
}

// The calls to services that a source has seen, and how many of them these services' spans answer.
func TestContextAccuracyOfASource(t *testing.T) {
	store := memstore.New(time.Hour, func() time.Time { return testNow })
	td := storedShop()
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutStr(conventions.AttrTenant, "acme")
	}
	require.NoError(t, store.WriteCall(t.Context(), annotated(td)))
	source := ordersSource()
	h := sourcesHandler(t, &fakeManager{stored: []tracesources.Stored{source}}, func(s *Settings) {
		s.Service.Storage = func() (tracestore.Backend, error) { return store, nil }
	})
	answer := sourceAnswer(t, 200, do(h, sourceRequest("GET", "orders", "")))
	require.NotNil(t, answer.ContextAccuracy)
	require.InDelta(t, 1, *answer.ContextAccuracy, 0)
	source.Instances[0].Services = []string{"nobody"}
	require.Nil(t, sourceAnswer(t, 200, do(h, sourceRequest("GET", "orders", ""))).ContextAccuracy)
}

func TestSourcesAreChanged(t *testing.T) {
	m := &fakeManager{}
	core, logs := observer.New(zapcore.InfoLevel)
	h := sourcesHandler(t, m, func(s *Settings) { s.Logger = zap.New(core) })
	response := do(h, sourceRequest("POST", "", `{"name": "shop", "type": "otlp", "configuration": {"a": {"n": 1, "f": 0.5, "list": [1e1, null, {"x": true}]}},
		"labels": {"team": "red"}, "limits": {"spans_per_second": 5}, "tenant": "acme"}`))
	require.True(t, sourceAnswer(t, 201, response).Enabled)
	require.Equal(t, "/traces/sources/shop", response.Header().Get("Location"))
	require.True(t, m.onLoopback, "nobody is there who may manage")
	want := tracesources.Source{
		Name: "shop", Type: "otlp", Enabled: true, Tenant: "acme", Labels: map[string]string{"team": "red"}, Limits: tracesources.Limits{SpansPerSecond: 5},
		Configuration: map[string]any{"a": map[string]any{"n": 1, "f": 0.5, "list": []any{10, nil, map[string]any{"x": true}}}},
	}
	require.Equal(t, want, m.stored[0].Source)

	sourceAnswer(t, 200, do(h, sourceRequest("PUT", "shop", `{"enabled": false}`)))
	want.Enabled = false
	require.Equal(t, want, m.stored[0].Source, "what is left out stays")
	sourceAnswer(t, 200, do(h, sourceRequest("PUT", "shop", `{"name": "shop", "type": "otlp", "version": 2, "labels": {}, "limits": {}, "tenant": "", "configuration": {}}`)))
	require.Equal(t, tracesources.Source{Name: "shop", Type: "otlp", Configuration: map[string]any{}}, m.stored[0].Source)
	require.Equal(t, int64(3), m.stored[0].Version)
	answered := do(h, sourceRequest("GET", "shop", "")).Body.String()
	sourceAnswer(t, 200, do(h, sourceRequest("PUT", "shop", strings.Replace(answered, `"enabled":false`, `"enabled":true`, 1))))
	require.True(t, m.stored[0].Enabled, "an answer can be sent back with something changed in it")
	p := requireProblem(t, 409, do(h, sourceRequest("PUT", "shop", `{"version": 2, "enabled": true}`)))
	require.Equal(t, "version", p.Field)

	require.Equal(t, 204, do(h, sourceRequest("DELETE", "shop", "")).Code)
	requireProblem(t, 404, do(h, sourceRequest("DELETE", "shop", "")))
	requireProblem(t, 404, do(h, sourceRequest("PUT", "shop", `{}`)))
	changes := logs.FilterFieldKey("audit").All()
	require.Len(t, changes, 8, "each change that was asked for is on record")
	made := changes[0].ContextMap()
	require.Equal(t, "createSource", made["operation"])
	require.Equal(t, "shop", made["source"])
	require.EqualValues(t, 1, made["version"])
}

// TestSourcesHaveADeadline: what is done about sources takes as long as a query may.
func TestSourcesHaveADeadline(t *testing.T) {
	for _, id := range aboutSources {
		synctest.Test(t, func(t *testing.T) {
			h := sourcesHandler(t, blockedManager{&fakeManager{stored: []tracesources.Stored{ordersSource()}}, id}, nil)
			began := time.Now()
			p := requireProblem(t, http.StatusGatewayTimeout, do(h, operationRequests[id]()))
			require.Contains(t, p.Detail, "query_timeout")
			require.LessOrEqual(t, time.Since(began), 10*time.Second)
		})
	}
}

// blockedManager does not come back from what an operation asks it to do.
type blockedManager struct {
	*fakeManager
	operation string
}

func (m blockedManager) Sources(ctx context.Context) ([]tracesources.Stored, error) {
	if strings.HasPrefix(m.operation, "get") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.fakeManager.Sources(ctx)
}

func (m blockedManager) Put(ctx context.Context, _ tracesources.Source, _ int64, _ bool) (tracesources.Stored, error) {
	<-ctx.Done()
	return tracesources.Stored{}, ctx.Err()
}

func (m blockedManager) Delete(ctx context.Context, _ string, _ int64) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestBadSources(t *testing.T) {
	stored := ordersSource()
	h := sourcesHandler(t, &fakeManager{stored: []tracesources.Stored{stored}}, nil)
	for name, test := range map[string]struct {
		method, id, body string
		status           int
		field            string
	}{
		"nothing":           {"POST", "", `{}`, 400, "name"},
		"no JSON":           {"POST", "", `name: shop`, 400, ""},
		"unknown member":    {"POST", "", `{"name": "a", "type": "otlp", "configuration": {}, "enable": true}`, 400, "enable"},
		"repeated":          {"POST", "", `{"name": "a", "type": "otlp", "configuration": {"a": {"b": 1, "b": 2}}}`, 400, "configuration.a.b"},
		"null":              {"POST", "", `{"name": "a", "type": "otlp", "configuration": {}, "labels": null}`, 400, "labels"},
		"label of a number": {"POST", "", `{"name": "a", "type": "otlp", "configuration": {}, "labels": {"x": 1}}`, 400, "labels.x"},
		"no object":         {"POST", "", `{"name": "a", "type": "otlp", "configuration": [1]}`, 400, "configuration"},
		"bad name":          {"POST", "", `{"name": "A/b", "type": "otlp", "configuration": {}}`, 400, "name"},
		"expansion":         {"POST", "", `{"name": "a", "type": "otlp", "configuration": {"x": ["${env:HOME}"]}}`, 400, "configuration.x[0]"},
		"no limit":          {"POST", "", `{"name": "a", "type": "otlp", "configuration": {}, "limits": {"spans_per_second": 0}}`, 400, "limits.spans_per_second"},
		"too deep":          {"POST", "", `{"name": "a", "type": "otlp", "configuration": {"x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, 400, "configuration.x" + strings.Repeat("[0]", 62)},
		"parameter":         {"PUT", "orders?dry=true", `{}`, 400, "dry"},
		"another name":      {"PUT", "orders", `{"name": "b"}`, 400, "name"},
		"another type":      {"PUT", "orders", `{"type": "zipkin"}`, 400, "type"},
		"of the config":     {"PUT", "config:otlp", `{"enabled": false}`, 409, "id"},
		"delete of config":  {"DELETE", "config:kafka%2Forders", ``, 409, "id"},
		"nobody":            {"GET", "nobody", ``, 404, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			p := requireProblem(t, test.status, do(h, sourceRequest(test.method, test.id, test.body)))
			require.Equal(t, test.field, p.Field, p.Detail)
		})
	}
	text := sourceRequest("POST", "", `{}`)
	text.Header.Set("Content-Type", "text/plain")
	require.Equal(t, "Content-Type", requireProblem(t, 415, do(h, text)).Field)
}

// Without trace_sources changes are refused, and told how to be made possible.
func TestNobodyRunsSources(t *testing.T) {
	h := sourcesHandler(t, nil, nil)
	require.Len(t, getJSON[openapi.SourcesAnswer](t, h, "/traces/sources").Sources, 2, "those of the configuration")
	for _, r := range []*http.Request{
		sourceRequest("POST", "", `{"name": "a", "type": "otlp", "configuration": {}}`),
		sourceRequest("PUT", "a", `{}`), sourceRequest("DELETE", "a", ""),
	} {
		require.Contains(t, requireProblem(t, 409, do(h, r)).Detail, "service::pipelines::traces::receivers")
	}
}

// A client that its authenticator binds to a tenant knows of no other's sources.
func TestSourcesOfATenant(t *testing.T) {
	for _, claim := range []string{tenant.Claim, "claims.tenant"} { // the second as the oidc extension has it
		t.Run(claim, func(t *testing.T) {
			m := &fakeManager{stored: []tracesources.Stored{ordersSource()}}
			h := sourcesHandler(t, m, func(s *Settings) {
				s.ReadAuthenticator = tokens{"acme": {claim: "acme"}, "other": {claim: "other"}, "all": {}}
				s.ManageAuthenticator = s.ReadAuthenticator
			})
			as := func(token string, r *http.Request) *httptest.ResponseRecorder {
				r.Header.Set("Authorization", token)
				return do(h, r)
			}
			for token, want := range map[string]int{"acme": 1, "other": 0, "all": 3} {
				var answer openapi.SourcesAnswer
				response := as(token, sourceRequest("GET", "", ""))
				require.NoError(t, json.Unmarshal(response.Body.Bytes(), &answer))
				require.Len(t, answer.Sources, want, token)
			}
			for _, r := range []*http.Request{sourceRequest("GET", "orders", ""), sourceRequest("PUT", "orders", "{}"), sourceRequest("DELETE", "orders", "")} {
				requireProblem(t, 404, as("other", r))
			}
			require.Equal(t, "tenant", requireProblem(t, 403, as("acme", sourceRequest("PUT", "orders", `{"tenant": "other"}`))).Field)
			require.Equal(t, "tenant", requireProblem(t, 403, as("other", sourceRequest("POST", "", `{"name": "a", "type": "otlp", "configuration": {}, "tenant": "acme"}`))).Field)
			require.Equal(t, "other", *sourceAnswer(t, 201, as("other", sourceRequest("POST", "", `{"name": "a", "type": "otlp", "configuration": {}}`))).Tenant)
			require.False(t, m.onLoopback, "somebody is there who may manage")
			require.Equal(t, 204, as("all", sourceRequest("DELETE", "orders", "")).Code)
		})
	}
}

// askForSources asks for sources in every way that has an answer of its own.
func askForSources(t *testing.T, ask func(h http.Handler, requests ...*http.Request)) {
	t.Helper()
	const added = `{"name": "new", "type": "otlp", "configuration": {"protocols": {"grpc": null}}}`
	every := func() []*http.Request {
		return []*http.Request{
			sourceRequest("GET", "", ""), sourceRequest("GET", "orders", ""), sourceRequest("GET", "nobody", ""), sourceRequest("POST", "", added),
			sourceRequest("PUT", "orders", `{"enabled": false}`), sourceRequest("PUT", "nobody", "{}"), sourceRequest("DELETE", "nobody", ""),
			sourceRequest("DELETE", "orders", ""),
		}
	}
	manager := func() *fakeManager { return &fakeManager{stored: []tracesources.Stored{ordersSource()}} }
	ask(sourcesHandler(t, manager(), nil), every()...)
	ask(sourcesHandler(t, nil, nil), every()...)
	for _, r := range every() { // 400
		r.URL.RawQuery = "nonsense=1"
		ask(sourcesHandler(t, manager(), nil), r)
	}
	for _, err := range []error{
		errors.New("broken"), tracestore.ErrClosed, context.DeadlineExceeded,
		&tracesources.Refusal{Kind: tracesources.Invalid, Field: "type", Detail: "no"},
		&tracesources.Refusal{Kind: tracesources.Forbidden, Detail: "no"}, &tracesources.Refusal{Kind: tracesources.Conflict, Detail: "no"},
	} {
		m := manager()
		m.changeErr = err
		ask(sourcesHandler(t, m, nil), every()...)
		var refusal *tracesources.Refusal
		if !errors.As(err, &refusal) {
			m.listErr = err
			ask(sourcesHandler(t, m, nil), every()...)
		}
	}
	guarded := sourcesHandler(t, manager(), func(s *Settings) {
		s.ReadAuthenticator = tokens{"Bearer two": {tenant.Claim: []string{"a", "b"}}}
	})
	ask(guarded, every()...)    // 401
	for _, r := range every() { // 403
		r.Header.Set("Authorization", "Bearer two")
		ask(guarded, r)
	}
	for _, r := range every() {
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			text, large := r.Clone(context.Background()), r
			text.Header.Set("Content-Type", "text/plain")
			large.Body = http.MaxBytesReader(nil, large.Body, 1)
			ask(sourcesHandler(t, manager(), nil), text, large)
		}
	}
}
