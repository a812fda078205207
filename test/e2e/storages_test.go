package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/testservers"
)

// pricesAndLinks are configured for both, so that answers have them too.
const pricesAndLinks = `
    prices: {currency: EUR, busy_second: {inventory: 0.02, payment: 0.05}}
    links:
      - {name: logs, url: "https://logs.example/?trace={trace_id}"}
      - {name: pods, url: "https://metrics.example/?service={service}&span={span_id}", on: span}
`

// bothStorages is config/gateway.yaml with the embedded store beside its two servers: each call of trace_analysis goes to all of them.
const bothStorages = `
exporters:
  trace_store: {storage: embedded}
extensions:
  trace_store:
    backends:
      embedded: {pebble: {path: "${env:TRACEWRIGHT_DATA}/traces", retention: 168h}}
  trace_query:` + pricesAndLinks + `
  trace_query/embedded:
    http: {endpoint: "localhost:${env:TRACEWRIGHT_EMBEDDED_PORT}"}
    storage: embedded` + pricesAndLinks + `
service:
  extensions: [go_runtime, health_check, raw_spans, file_storage, file_storage/queue, trace_store, trace_query, trace_query/embedded]
  pipelines:
    traces:
      exporters: [trace_store, trace_clickhouse, service_map]
`

// storages is one Tracewright that writes what it gets into the embedded store, and into ClickHouse and Neo4j, and answers from the one and from
// the others.
type storages struct {
	*instance
	tracegen string
	// from and to are the window of all that was sent, and change is the minute in which inventory began to fail.
	from, change, to time.Time
	// calm and faulty are what was sent before change, and after it.
	calm, faulty *sent
}

// The names of the ports on which the two storages answer.
const (
	embedded   = "EMBEDDED"
	production = "QUERY"
)

// startStorages starts it, and fills it with calm traffic and, in another minute, with traffic in which inventory fails.
func startStorages(t *testing.T) *storages {
	t.Helper()
	s := &storages{instance: newInstance(t), tracegen: buildTracegen(t)}
	clickhouse, neo4j := testservers.StartClickHouse(t), testservers.StartNeo4j(t)
	s.file = "gateway.yaml"
	s.ports[embedded] = freePorts(t, embedded)[embedded]
	s.env = []string{
		"TRACEWRIGHT_CLICKHOUSE=http://" + clickhouse.HTTP,
		"TRACEWRIGHT_CLICKHOUSE_USER=" + testservers.ClickHouseUser, "TRACEWRIGHT_CLICKHOUSE_PASSWORD=" + testservers.ClickHousePassword,
		"TRACEWRIGHT_NEO4J=" + neo4j.URI(),
		"TRACEWRIGHT_NEO4J_USER=" + testservers.Neo4jUser, "TRACEWRIGHT_NEO4J_PASSWORD=" + testservers.Neo4jPassword,
	}
	s.start("--config", "yaml:"+bothStorages)

	s.from = time.Now().Add(-time.Minute).Truncate(time.Minute)
	s.calm = s.play("--total", "200", "--seed", "1", "--journeys")
	s.change = time.Now().Add(time.Minute).Truncate(time.Minute)
	pause(t, time.Until(s.change.Add(2*time.Second))) // sums are kept by the minute, and traces begin a second before they are sent
	s.faulty = s.play("--total", "200", "--seed", "2", "--journeys", "--fault", "inventory:errors=30%")
	s.to = time.Now().Add(time.Minute).Truncate(time.Minute)
	return s
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// play sends, and waits until both storages have every trace, edge and operation as it was sent.
func (s *storages) play(flags ...string) *sent {
	s.t.Helper()
	truth := filepath.Join(s.t.TempDir(), "truth.jsonl")
	generate(s.t, s.tracegen, s.endpoint("OTLP_GRPC"), truth, append(flags, "--tenants", "2", "--span-window", "1s")...)
	for _, storage := range []string{embedded, production} {
		verify(s.t, s.tracegen, truth, s.url(storage, ""), "--timeout", "3m")
	}
	return readTruth(s.t, truth)
}

// window are the parameters of one.
func window(start, end time.Time) url.Values {
	return url.Values{"start": {start.UTC().Format(time.RFC3339Nano)}, "end": {end.UTC().Format(time.RFC3339Nano)}}
}

// answer is what a storage answers.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask asks a storage as a tenant.
func (s *storages) ask(t *testing.T, storage, tenant string, q question) answer {
	t.Helper()
	var body *strings.Reader
	method := http.MethodGet
	if body = strings.NewReader(q.body); q.body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.url(storage, q.target), body)
	require.NoError(t, err)
	r.Header.Set("X-Tracewright-Tenant", tenant)
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.accept != "" {
		r.Header.Set("Accept", q.accept)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, content}
}

// read asks and reads the answer.
func (s *storages) read(t *testing.T, storage, tenant string, q question, into any) {
	t.Helper()
	got := s.ask(t, storage, tenant, q)
	require.Equal(t, http.StatusOK, got.status, "%s %s: %s", storage, q.target, got.body)
	require.NoError(t, json.Unmarshal(got.body, into))
}

// TestStorages asks the embedded store, and ClickHouse with Neo4j, the same about the same traces: the answers are the same, and what tracegen knows.
// Whatever else the OpenAPI document allows, ClickHouse and Neo4j answer as it says.
func TestStorages(t *testing.T) {
	t.Parallel() // it waits for a minute to end
	s := startStorages(t)
	s.examine(t)
	s.runSchemathesis("1", "--phases=examples,fuzzing", "--header", "x-tracewright-tenant: tenant-1",
		"--exclude-path", "/admin/backup") // which ClickHouse does itself: 501 is right
}

func (s *storages) examine(t *testing.T) {
	const tenant = "tenant-1"
	for _, of := range []struct {
		what      string
		questions []question
	}{
		{"one trace", s.waysToAsk(t, tenant)},
		{"search", s.searches()},
		{"sums of all", sums(window(s.from, s.to))},
		{"sums after the change", sums(s.afterChange())},
	} {
		t.Run(of.what, func(t *testing.T) {
			for _, q := range of.questions {
				s.requireSame(t, tenant, q)
			}
		})
	}
	for _, storage := range []string{embedded, production} {
		t.Run(storage, func(t *testing.T) {
			s.requireSearchedTruth(t, storage, tenant)
			s.requireEntries(t, storage, tenant)
			s.requireFaults(t, storage, tenant)
			s.requirePages(t, storage, tenant)
			s.requireApart(t, storage)
		})
	}
	t.Run("follow", s.requireFollowed)
	t.Run("delete", s.requireDeleted)
}
