package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"
)

// The traces of the document's examples: one that is asked for, and one to delete.
const (
	exampleID = "4bf92f3577b34da6a3ce929d0e0e4736"
	doomedID  = "00000000000000000000000000c0ffee"
)

// checkout is a trace of now that has something for every part of an answer: storefront calls checkout, which fails in its
// database and puts a message in a queue.
func checkout() ptrace.Traces {
	start := time.Now().Add(-time.Second)
	td := ptrace.NewTraces()
	at := func(ms int) pcommon.Timestamp {
		return pcommon.NewTimestampFromTime(start.Add(time.Duration(ms) * time.Millisecond))
	}
	service := func(name string) ptrace.SpanSlice {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.40.0")
		rs.Resource().Attributes().PutStr("service.name", name)
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("hand")
		ss.Scope().SetVersion("1.0")
		return ss.Spans()
	}
	span := func(spans ptrace.SpanSlice, name string, id, parent byte, kind ptrace.SpanKind, from, to int) ptrace.Span {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36})
		s.SetSpanID(pcommon.SpanID{7: id})
		if parent != 0 {
			s.SetParentSpanID(pcommon.SpanID{7: parent})
		}
		s.SetName(name)
		s.SetKind(kind)
		s.SetStartTimestamp(at(from))
		s.SetEndTimestamp(at(to))
		return s
	}
	storefront, behind := service("storefront"), service("checkout")
	span(storefront, "GET /cart", 1, 0, ptrace.SpanKindServer, 0, 100).Attributes().PutInt("http.response.status_code", 500)
	call := span(storefront, "POST", 2, 1, ptrace.SpanKindClient, 10, 90)
	call.Attributes().PutStr("http.request.method", "POST")
	call.Attributes().PutDouble("ratio", 0.5)
	call.Attributes().PutEmptySlice("list").AppendEmpty().SetBool(true)
	call.Attributes().PutEmptyBytes("raw").FromRaw([]byte{1, 2})
	call.TraceState().FromRaw("vendor=1")
	call.SetFlags(257)
	link := call.Links().AppendEmpty()
	link.SetTraceID(pcommon.TraceID{15: 9})
	link.SetSpanID(pcommon.SpanID{7: 9})
	failing := span(behind, "POST /checkout", 3, 2, ptrace.SpanKindServer, 20, 80)
	failing.Attributes().PutStr("http.request.method", "POST")
	failing.Status().SetCode(ptrace.StatusCodeError)
	query := span(behind, "SELECT", 4, 3, ptrace.SpanKindClient, 30, 60)
	query.Attributes().PutStr("db.system.name", "postgresql")
	query.Attributes().PutStr("db.namespace", "orders")
	query.Status().SetCode(ptrace.StatusCodeError)
	query.Status().SetMessage("no such table")
	event := query.Events().AppendEmpty()
	event.SetName("exception")
	event.SetTimestamp(at(55))
	event.Attributes().PutStr("exception.type", "ProgrammingError")
	event.Attributes().PutStr("exception.message", "no such table")
	publish := span(behind, "send orders", 5, 3, ptrace.SpanKindProducer, 65, 70)
	publish.Attributes().PutStr("messaging.system", "kafka")
	publish.Attributes().PutStr("messaging.destination.name", "orders-placed")
	return td
}

// everyOperation has a request for each operation of the document, and the members of its answer that must not be empty.
var everyOperation = map[string]struct {
	target, body string
	status       int
	full         []string
}{
	"get /openapi.yaml":        {"/openapi.yaml", "", 200, nil},
	"get /traces/{id}":         {"/traces/" + exampleID, "", 200, []string{"services", "critical_path", "bottleneck", "error_origins", "resources", "spans"}},
	"get /traces/{id}/compare": {"/traces/" + exampleID + "/compare?with=" + exampleID, "", 200, []string{"trace", "with", "message"}},
	"get /traces/live":         {"/traces/live", "", 200, nil}, // requireEvents
	"delete /traces/{id}":      {"/traces/" + doomedID, "", 204, nil},
	"post /traces/search":      {"/traces/search", tree, 200, []string{"traces"}},
	"get /traces/services":     {"/traces/services?service=checkout", "", 200, []string{"services", "edges"}},
	"get /traces/operations":   {"/traces/operations?service=checkout&environment=", "", 200, []string{"operations"}},
	"get /traces/attributes":   {"/traces/attributes", "", 200, []string{"attributes"}},
	"get /healthz":             {"/healthz", "", 200, []string{"status", "components"}},
	"get /readyz":              {"/readyz", "", 200, []string{"status", "components"}},
	"get /traces/attributes/{key}/values": {
		"/traces/attributes/resource.service.name/values?prefix=check", "", 200, []string{"values"},
	},
	"get /traces/sources":         {"/traces/sources", "", 200, []string{"sources"}},
	"post /traces/sources":        {"/traces/sources", strings.Replace(aSource, "NAME", "by-hand", 1), 201, []string{"version", "instances"}},
	"get /traces/sources/{id}":    {"/traces/sources/checkout-team", "", 200, []string{"configuration", "instances"}},
	"put /traces/sources/{id}":    {"/traces/sources/checkout-team", `{"labels": {"team": "checkout"}}`, 200, []string{"labels", "version"}},
	"delete /traces/sources/{id}": {"/traces/sources/doomed", "", 204, nil},
	"post /admin/backup":          {"/admin/backup", `{"name": "by-hand"}`, 201, []string{"path", "bytes"}},
	"get /traces/performance":     {"/traces/performance?service=storefront&operation=GET+/cart", "", 200, []string{"entries", "services"}},
	"get /traces/errors":          {"/traces/errors?service=checkout&entry=GET+/cart", "", 200, []string{"patterns"}},
	"get /traces/insights":        {"/traces/insights?baseline=-25h", "", 200, nil},
	"get /traces/dependencies": {
		"/traces/dependencies?service=checkout&from=storefront&to=checkout", "", 200,
		[]string{"services", "single_points", "blast_radius", "ways"},
	},
}

// aSource listens on any free port.
const aSource = `{"name": "NAME", "type": "otlp", "configuration": {"protocols": {"grpc": {"endpoint": "localhost:0"}}}}`

// ownPorts keeps sources that are made up from taking the ports of others.
const ownPorts = "--set=receivers.trace_sources.allowed_listen=[localhost:0]"

// tree finds the trace of checkout by all kinds of conditions.
const tree = `{"service": "checkout", "errors": true, "order": "duration", "services": ["storefront"],
	"structure": [{"above": {"service": "storefront"}, "below": {"attributes": [{"key": "db.namespace", "op": "=", "value": "orders"}]}}],
	"where": {"not": {"span": {"service": "payment"}}, "or": [{"trace": {"errors": {"min": 2}}}, {"span": {"kind": "producer"}}]}}`

// TestAPIKeepsToItsDocument sends what the OpenAPI document allows, and what it does not, to the running API.
func TestAPIKeepsToItsDocument(t *testing.T) {
	i := startInstance(t, "--set=processors.trace_assembly.linger=200ms", ownPorts)
	i.requireEveryOperation(nil)
	i.runSchemathesis("40")
}

// TestGuardedAPIKeepsToItsDocument does the same where readers and managers have tokens, as a tenant.
func TestGuardedAPIKeepsToItsDocument(t *testing.T) {
	i := startGuarded(t)
	manager := http.Header{"Authorization": {"Bearer manager"}, "X-Tracewright-Tenant": {"blue"}}
	i.requireEveryOperation(manager)
	const brief = "--phases=examples,fuzzing" // each kind of request once is what the open API was asked
	i.runSchemathesis("10", brief, "--header", "Authorization: Bearer manager", "--header", "x-tracewright-tenant: blue")
	i.runSchemathesis("3", brief, "--header", "Authorization: Bearer reader")
	i.runSchemathesis("1", "--phases=coverage")
}

// startGuarded starts an instance with tokens for a reader and for a manager, who may read too.
func startGuarded(t *testing.T) *instance {
	t.Helper()
	return startInstance(
		t, "--set=processors.trace_assembly.linger=200ms", ownPorts,
		"--set=extensions.bearertokenauth/readers.tokens=[reader, manager]", "--set=extensions.bearertokenauth/managers.tokens=[manager]",
		"--set=extensions.trace_query.auth=bearertokenauth/readers", "--set=extensions.trace_query.manage_auth=bearertokenauth/managers",
		"--set=service.extensions=[health_check, raw_spans, file_storage, bearertokenauth/readers, bearertokenauth/managers, trace_store, trace_query]",
	)
}

// requireEveryOperation stores the traces of the examples and asks for something with every operation of the document.
func (i *instance) requireEveryOperation(header http.Header) {
	t := i.t
	t.Helper()
	for _, name := range []string{"checkout-team", "doomed"} {
		_, err := i.do(http.MethodPost, i.url("QUERY", "/traces/sources"), []byte(strings.Replace(aSource, "NAME", name, 1)), http.StatusCreated, header)
		require.NoError(t, err)
	}
	i.send(checkout(), header)
	doomed := checkout()
	for _, rs := range doomed.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.SetTraceID(pcommon.TraceID{13: 0xc0, 14: 0xff, 15: 0xee})
		}
	}
	i.send(doomed, header)
	get := func(target string) ([]byte, error) {
		return i.do(http.MethodGet, i.url("QUERY", target), nil, http.StatusOK, header)
	}
	for _, id := range []string{exampleID, doomedID} {
		i.await("trace "+id, func() error {
			_, err := get("/traces/" + id)
			return err
		})
	}
	i.await("the trace on the map", func() error {
		content, err := get("/traces/services")
		if err == nil && !strings.Contains(string(content), `"postgresql:orders"`) {
			err = fmt.Errorf("not yet: %s", content)
		}
		return err
	})

	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	content, err := get("/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &document))
	operations := 0
	for path, item := range document.Paths {
		for method := range item {
			operations++
			t.Run(method+" "+path, func(t *testing.T) {
				if path == "/traces/live" {
					i.requireEvents(t, i, header)
					return
				}
				i.requireData(t, method, path, header)
			})
		}
	}
	require.Len(t, everyOperation, operations)
}

// requireData checks that an operation has an answer with something in it.
func (i *instance) requireData(t *testing.T, method, path string, header http.Header) {
	t.Helper()
	operation, ok := everyOperation[method+" "+path]
	require.True(t, ok, "no request in everyOperation")
	var body []byte
	if operation.body != "" {
		body = []byte(operation.body)
	}
	content, err := i.do(strings.ToUpper(method), i.url("QUERY", operation.target), body, operation.status, header)
	require.NoError(t, err)
	require.Equal(t, operation.status == http.StatusNoContent, len(content) == 0)
	if operation.full == nil {
		return
	}
	var answer map[string]any
	require.NoError(t, json.Unmarshal(content, &answer))
	for _, member := range operation.full {
		require.NotEmpty(t, answer[member], member)
	}
}

// requireEvents follows what is stored, and sends a trace to be told of to an instance that uses the same storage.
func (i *instance) requireEvents(t *testing.T, to *instance, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url("QUERY", "/traces/live?service=checkout&errors=true"), http.NoBody)
	require.NoError(t, err)
	maps.Copy(r.Header, header)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan())
	require.Equal(t, ": following", lines.Text())
	td := checkout()
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.SetTraceID(pcommon.TraceID{15: 0x11})
		}
	}
	to.send(td, header)
	for lines.Scan() {
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
			require.Contains(t, data, `"trace_id":"00000000000000000000000000000011"`)
			require.Contains(t, data, `"entry":{"service":"storefront","operation":"GET /cart"}`)
			return
		}
	}
	require.NoError(t, lines.Err())
	t.Fatal("the stream ended without an event")
}

// runSchemathesis makes requests of all kinds from the document, at most so many of a kind, and holds the answers against it.
func (i *instance) runSchemathesis(examples string, more ...string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), 5*time.Minute) // the first run installs from PyPI
	defer cancel()
	venv, err := filepath.Abs(filepath.Join(root, ".cache", "schemathesis-venv"))
	require.NoError(i.t, err)
	requirements, err := filepath.Abs(filepath.Join("schemathesis", "requirements.txt"))
	require.NoError(i.t, err)
	folder := i.t.TempDir() // it writes what it has found where it stands
	run := func(name string, args ...string) {
		i.t.Helper()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1,localhost,"+os.Getenv("NO_PROXY"), "PIP_DISABLE_PIP_VERSION_CHECK=1")
		output, err := cmd.CombinedOutput()
		require.NoError(i.t, err, "%s %s:\n%s", name, strings.Join(args, " "), output)
	}
	run("python3", "-c", "import sys; assert sys.version_info >= (3, 11), 'schemathesis needs Python 3.11 or newer, not ' + sys.version")
	run("python3", "-m", "venv", venv)
	run(filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--requirement", requirements)
	document := filepath.Join(folder, "openapi.yaml") // which not everybody may read from the API
	content, err := os.ReadFile(filepath.Join(root, "extension", "tracequeryextension", "internal", "api", "openapi", "openapi.yaml"))
	require.NoError(i.t, err)
	require.NoError(i.t, os.WriteFile(document, content, 0o600))
	run(filepath.Join(venv, "bin", "schemathesis"), append([]string{
		"run", document, "--url", i.url("QUERY", ""), "--checks", "all",
		// What a schema cannot say makes valid requests wrong: start before end, a regular expression, a cursor.
		"--exclude-checks", "positive_data_acceptance",
		"--exclude-path", "/traces/live", // which has no end
		"--max-examples", examples, "--seed", "1", "--generation-database", "none", "--continue-on-failure", "--no-color",
	}, more...)...)
}
