package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/tracediff"
	"github.com/tracewright/tracewright/internal/componenthealth"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
)

// document is the served document as a validator reads it.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	response := do(testHandler(&fakeStorage{}), get("/openapi.yaml"))
	require.Equal(t, http.StatusOK, response.Code)
	require.Equal(t, "application/yaml", response.Header().Get("Content-Type"))
	requireSafe(t, response)
	doc, err := openapi3.NewLoader().LoadFromData(response.Body.Bytes())
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	return doc
}

func TestDocumentTakesNoParameters(t *testing.T) {
	p := requireProblem(t, http.StatusBadRequest, do(testHandler(&fakeStorage{}), get("/openapi.yaml?format=json")))
	require.Equal(t, "format", p.Field)
}

func TestDocumentHasEveryRoute(t *testing.T) {
	var documented, served []string
	for path, item := range document(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	h := &handler{Settings: settings(nil)}
	router := h.newRouter()
	openapi.Register(router, h)
	for path, handlers := range router.routes {
		for method := range handlers {
			if method != http.MethodHead { // goes without saying, which the document says
				served = append(served, method+" "+path)
			}
		}
	}
	require.ElementsMatch(t, documented, served)
	require.Len(t, served, len(operationRequests))
}

// walk visits each schema of the document once.
func walk(doc *openapi3.T, visit func(name string, schema *openapi3.Schema)) {
	seen := make(map[*openapi3.Schema]bool)
	var descend func(name string, ref *openapi3.SchemaRef)
	descend = func(name string, ref *openapi3.SchemaRef) {
		if ref == nil || ref.Value == nil || seen[ref.Value] {
			return
		}
		schema := ref.Value
		seen[schema] = true
		visit(name, schema)
		for _, member := range slices.Sorted(maps.Keys(schema.Properties)) {
			descend(name+"."+member, schema.Properties[member])
		}
		descend(name+"[]", schema.Items)
		descend(name+"{}", schema.AdditionalProperties.Schema)
		for _, one := range slices.Concat(schema.OneOf, schema.AnyOf, schema.AllOf) {
			descend(name, one)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		descend(name, doc.Components.Schemas[name])
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for media, content := range response.Value.Content {
					descend(strings.Join([]string{method, path, status, media}, " "), content.Schema)
				}
			}
			for _, parameter := range operation.Parameters {
				descend(method+" "+path+" "+parameter.Value.Name, parameter.Value.Schema)
			}
		}
	}
}

func TestDocumentSaysWhatIsInEveryObject(t *testing.T) {
	walk(document(t), func(name string, schema *openapi3.Schema) {
		if schema.Type.Is("array") {
			require.NotNil(t, schema.Items, name)
		}
		if !schema.Type.Is("object") {
			require.False(t, schema.IsEmpty(), name)
			return
		}
		free := schema.AdditionalProperties
		switch name {
		case "Attributes", "Source.configuration":
			require.True(t, *free.Has)
			return
		case "Source.labels":
			require.True(t, free.Schema.Value.Type.Is("string"))
			return
		}
		require.NotEqual(t, len(schema.Properties) > 0, free.Schema != nil, name)
		require.True(t, free.Has == nil || !*free.Has, name)
	})
}

func TestEveryParameterHasAnExampleThatFits(t *testing.T) {
	for path, item := range document(t).Paths.Map() {
		for _, operation := range item.Operations() {
			require.NotEmpty(t, operation.Summary, path)
			require.NotEmpty(t, operation.OperationID, path)
			for _, ref := range operation.Parameters {
				p := ref.Value
				require.NotEmpty(t, p.Description, p.Name)
				if p.Name == "cursor" {
					continue // a cursor means something only where it was made
				}
				require.NotNil(t, p.Example, p.Name)
				require.NoError(t, p.Schema.Value.VisitJSON(p.Example, openapi3.EnableJSONSchema2020()), p.Name)
			}
		}
	}
}

// The words and bounds of the document are those of the code.
func TestDocumentSpeaksAsTheCode(t *testing.T) {
	doc := document(t)
	words := func(name string) (words []string) {
		for _, word := range doc.Components.Schemas[name].Value.Enum {
			words = append(words, word.(string))
		}
		return words
	}
	require.Equal(t, conventions.Categories, words("Category"))
	require.Equal(t, conventions.Outcomes, words("Outcome"))
	require.Equal(t, kindNames, words("SpanKind"))
	require.Equal(t, []string{
		conventions.KindService, conventions.KindDatabase, conventions.KindQueue, conventions.KindExternal,
	}, words("NodeKind"))
	var kinds []string
	for _, kind := range analysis.FindingKinds {
		kinds = append(kinds, string(kind))
	}
	require.Equal(t, kinds, words("FindingKind"))
	kinds = nil
	for _, kind := range analysis.ErrorKinds {
		kinds = append(kinds, string(kind))
	}
	require.Equal(t, kinds, words("ErrorKind"))
	require.Equal(t, insightKinds, words("InsightKind"))
	require.EqualValues(t, analysis.MaxErrorPath, *doc.Components.Schemas["ErrorOrigin"].Value.Properties["path"].Value.MaxItems)
	require.EqualValues(t, analysis.MaxFindings, *doc.Components.Schemas["Trace"].Value.Properties["findings"].Value.MaxItems)
	require.EqualValues(t, analysis.MaxFindingSpans, *doc.Components.Schemas["Finding"].Value.Properties["span_ids"].Value.MaxItems)
	kinds = nil
	for _, kind := range query.RemarkKinds {
		kinds = append(kinds, string(kind))
	}
	require.Equal(t, kinds, texts(doc.Components.Schemas["TraceRemark"].Value.Properties["kind"].Value.Enum))
	require.EqualValues(t, tracediff.MaxPath, *doc.Components.Schemas["Difference"].Value.Properties["path"].Value.MaxItems)
	for _, path := range []string{"/traces/{id}", "/traces/{id}/compare", "/traces/services"} {
		for _, p := range doc.Paths.Value(path).Get.Parameters {
			switch p.Value.Name {
			case "limit":
				requireBounds(t, p.Value.Schema.Value, 1, maxDifferences, defaultDifferences)
			case "span_limit":
				requireBounds(t, p.Value.Schema.Value, 1, maxSpanLimit, defaultSpanLimit)
			case "span_offset":
				requireBounds(t, p.Value.Schema.Value, 0, maxSpanOffset, 0)
			case "focus":
				require.EqualValues(t, maxNameLength, *p.Value.Schema.Value.MaxLength)
			case "depth":
				if path == "/traces/services" {
					requireBounds(t, p.Value.Schema.Value, 0, maxFocusDepth, defaultFocusDepth)
				} else {
					require.EqualValues(t, maxSpanDepth, *p.Value.Schema.Value.Max)
				}
			}
		}
	}
	require.Equal(t, tenant.DefaultHeader, doc.Components.Parameters["Tenant"].Value.Name)

	search := doc.Components.Schemas["SearchRequest"].Value.Properties
	requireBounds(t, search["limit"].Value, 1, maxLimit, defaultLimit)
	for _, list := range []*openapi3.Schema{
		search["attributes"].Value, search["services"].Value, search["structure"].Value,
		doc.Components.Schemas["Condition"].Value.Properties["structure"].Value,
		doc.Components.Schemas["SpanCondition"].Value.Properties["attributes"].Value,
		doc.Components.Schemas["TraceCondition"].Value.Properties["services"].Value,
	} {
		require.EqualValues(t, maxListed, *list.MaxItems)
	}
	require.Equal(t, orderNames, texts(search["order"].Value.Enum))
	require.Equal(t, relationNames, texts(doc.Components.Schemas["Structure"].Value.Properties["relation"].Value.Enum))
	require.EqualValues(t, maxCount, *doc.Components.Schemas["CountRange"].Value.Properties["max"].Value.Max)
	bounds := doc.Components.Schemas["Condition"].Value.Description
	require.Contains(t, bounds, fmt.Sprintf("nested %d deep", tracestore.MaxDepth))
	require.Contains(t, bounds, fmt.Sprintf("may hold %d of them", maxConditions))
	require.Equal(t, backupName.String(), doc.Components.Schemas["BackupRequest"].Value.Properties["name"].Value.Pattern)
	require.Equal(t, tracesources.NamePattern, doc.Components.Schemas["SourceName"].Value.Pattern)
	require.Equal(t, []string{
		string(tracesources.Running), string(tracesources.Degraded), string(tracesources.Failed), string(tracesources.Paused),
	}, texts(doc.Components.Schemas["SourceInstance"].Value.Properties["health"].Value.Enum))
	require.Len(t, doc.Components.Schemas["AttributeKey"].Value.Properties["types"].Value.Items.Value.Enum, len(valueTypes))
	require.Contains(t, doc.Paths.Value("/traces/attributes/{key}/values").Get.Description, fmt.Sprint(tracestore.MaxCatalogueValue))
	requireBounds(t, doc.Components.Parameters["CatalogueLimit"].Value.Schema.Value, 1, maxAttributes, defaultAttributes)
	require.EqualValues(t, maxNameLength, *doc.Components.Parameters["Prefix"].Value.Schema.Value.MaxLength)
	ops := doc.Components.Schemas["AttributeCondition"].Value.Properties["op"].Value.Enum
	require.Len(t, ops, len(operators))
	for i, op := range operators {
		require.Equal(t, op, ops[i])
	}
	for path, bounds := range map[string][2]int{
		"/traces/performance": {maxEntries, defaultEntries}, "/traces/dependencies": {maxWays, defaultWays}, "/traces/errors": {maxPatterns, defaultPatterns},
		"/traces/insights": {maxInsights, defaultInsights},
	} {
		for _, p := range doc.Paths.Value(path).Get.Parameters {
			switch p.Value.Name {
			case "limit":
				requireBounds(t, p.Value.Schema.Value, 1, bounds[0], bounds[1])
			case "what_if_factor":
				require.InDelta(t, defaultFactor, p.Value.Schema.Value.Default, 0)
				require.EqualValues(t, maxFactor, *p.Value.Schema.Value.Max)
			case "sample_time":
				require.Equal(t, defaultSampleTime.String(), p.Value.Schema.Value.Default)
				require.Contains(t, p.Value.Description, maxSampleTime.String())
			case "service", "environment", "operation", "from", "to", "entry", "fingerprint", "what_if_service", "what_if_operation":
				require.EqualValues(t, maxNameLength, *p.Value.Schema.Value.MaxLength)
			}
		}
	}
	require.EqualValues(t, maxParts, *doc.Components.Schemas["EntryPerformance"].Value.Properties["parts"].Value.MaxItems)
	for _, p := range doc.Paths.Value("/traces/operations").Get.Parameters {
		switch p.Value.Name {
		case "limit":
			requireBounds(t, p.Value.Schema.Value, 1, maxOperations, defaultOperations)
		case "service", "environment":
			require.EqualValues(t, maxNameLength, *p.Value.Schema.Value.MaxLength)
		}
	}
}

func texts(values []any) (texts []string) {
	for _, value := range values {
		texts = append(texts, value.(string))
	}
	return texts
}

func requireBounds(t *testing.T, schema *openapi3.Schema, minimum, maximum, otherwise int) {
	t.Helper()
	require.EqualValues(t, minimum, *schema.Min)
	require.EqualValues(t, maximum, *schema.Max)
	require.EqualValues(t, otherwise, schema.Default)
}

// checker holds answers against the document. Members that it does not name are refused, although clients have to expect
// new ones.
type checker struct {
	doc *openapi3.T
	// met is the statuses with which each operation has answered.
	met map[string][]int
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	doc := document(t)
	walk(doc, func(_ string, schema *openapi3.Schema) {
		if free := schema.AdditionalProperties; schema.Type.Is("object") && free.Has == nil && free.Schema == nil {
			no := false
			schema.AdditionalProperties.Has = &no
		}
	})
	return &checker{doc: doc, met: make(map[string][]int)}
}

func (c *checker) check(t *testing.T, r *http.Request, response *httptest.ResponseRecorder) {
	t.Helper()
	path, parameters := r.URL.Path, map[string]string{}
	item := c.doc.Paths.Value(path)
	if key, ok := strings.CutPrefix(path, "/traces/attributes/"); ok {
		path, parameters = "/traces/attributes/{key}/values", map[string]string{"key": strings.TrimSuffix(key, "/values")}
		item = c.doc.Paths.Value(path)
	}
	if id, ok := strings.CutPrefix(path, "/traces/sources/"); ok {
		path, parameters = "/traces/sources/{id}", map[string]string{"id": id}
		item = c.doc.Paths.Value(path)
	}
	if item == nil {
		id, below, _ := strings.Cut(strings.TrimPrefix(path, "/traces/"), "/")
		path, parameters = strings.TrimSuffix("/traces/{id}/"+below, "/"), map[string]string{"id": id}
		item = c.doc.Paths.Value(path)
	}
	operation := item.GetOperation(r.Method)
	require.NotNil(t, operation, r.URL.Path)
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, PathParams: parameters,
			Route: &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: r.Method, Operation: operation},
		},
		Status: response.Code, Header: response.Header(), Body: io.NopCloser(response.Body),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	require.NoError(t, err, "%s %s: %d", r.Method, r.URL, response.Code)
	c.met[operation.OperationID] = append(c.met[operation.OperationID], response.Code)
}

// Every status that the document has for an operation is really answered, and every answer fits.
func TestAnswersFitTheDocument(t *testing.T) {
	c := newChecker(t)
	shop := storedHandler(t, storedShop())
	ask := func(h http.Handler, requests ...*http.Request) {
		for _, r := range requests {
			c.check(t, r, do(h, r))
		}
	}
	requests := func() []*http.Request {
		return []*http.Request{
			get("/openapi.yaml"), get("/traces/" + knownID), postSearch("{}"), get("/traces/services"), get("/traces/operations"),
			get("/traces/performance"), get("/traces/dependencies"), get("/traces/errors"), get("/traces/insights"),
			get("/traces/" + knownID + "/compare?with=" + knownID),
			get("/traces/attributes"), get("/traces/attributes/http.route/values"), deleteTrace(knownID),
		}
	}
	ask(shop, requests()...)
	ask(testHandler(&fakeStorage{}), get("/traces/"+knownID+"/compare?with=usual"))
	ask(shop, operationRequests["tailTraces"]())
	shop = storedHandler(t, storedShop()) // the last request has deleted the trace
	ask(shop, deleteTrace(strings.Repeat("a", 32)))
	ask(shop, get("/traces/dependencies?service=orders&from=frontend&to=inventory"), get("/traces/performance?limit=1"))
	ask(shop, get("/traces/"+knownID+"?format=otlp"), get("/traces/"+knownID+"?format=jaeger"), get("/traces/"+knownID+"?format=zipkin"),
		get("/traces/"+knownID+"?fields=summary"), get("/traces/"+knownID+"?span_id=0000000000000003&depth=1"),
		get("/traces/"+knownID+"?span_offset=4"), get("/traces/services?focus=orders&depth=0"), get("/traces/operations?limit=1"), get("/traces/services?service=orders"),
		get("/traces/"+strings.Repeat("a", 32)), postSearch(`{"limit": 1}`))
	ask(testHandler(stores(retriedTrace)), get("/traces/"+knownID))
	askToFollow(t, ask)
	requests = func(those func() []*http.Request) func() []*http.Request {
		return func() []*http.Request { return append(those(), get("/traces/live")) } // which does not end where it begins
	}(requests)
	for _, r := range requests() { // 400
		r.URL.RawQuery = "nonsense=1&x=2"
		ask(shop, r)
	}
	s := settings(&fakeStorage{})
	s.ReadAuthenticator = tokens{"Bearer two": {tenant.Claim: []string{"a", "b"}}}
	ask(NewHandler(s), requests()...) // 401
	ask(NewHandler(s), postBackup("{}"))
	for _, r := range requests()[1:] {
		r.Header.Set("Authorization", "Bearer two")
		ask(NewHandler(s), r) // 403
	}
	for status, err := range map[int]error{500: errors.New("broken"), 503: tracestore.ErrClosed, 504: context.DeadlineExceeded} {
		s := settings(nil)
		s.Service.Storage = func() (tracestore.Backend, error) { return nil, err }
		for _, r := range requests()[1:] {
			response := do(NewHandler(s), r)
			require.Equal(t, status, response.Code)
			c.check(t, r, response)
		}
	}
	for _, request := range operationRequests {
		r := request()
		r.Host = "evil.example"
		ask(shop, r) // 403
		s := settings(&fakeStorage{})
		s.Limits = Limits{RatePerClient: 1e-3, BurstPerClient: 1}
		busy := NewHandler(s)
		do(busy, request())
		ask(busy, request()) // 429
	}
	askForHealth(t, ask)
	askForBackups(t, ask)
	askForSources(t, ask)
	h := &handler{Settings: settings(nil)}
	ask(h.recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })), get("/openapi.yaml"))

	large := postSearch(strings.Repeat(" ", 100))
	large.Body = http.MaxBytesReader(nil, large.Body, 99)
	text := postSearch("{}")
	text.Header.Set("Content-Type", "text/plain")
	ask(shop, large, text)

	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				require.Contains(t, c.met[operation.OperationID], atoi(t, status), "%s %s", method, path)
			}
		}
	}
}

// askToFollow asks in every way that has an answer of its own and an end.
func askToFollow(t *testing.T, ask func(h http.Handler, requests ...*http.Request)) {
	t.Helper()
	ask(testHandler(&fakeStorage{}), get("/traces/live")) // which cannot
	s := settings(nil)
	store := memstore.New(time.Hour, time.Now)
	s.Service.Storage = func() (tracestore.Backend, error) { return store, nil }
	for range query.MaxTenantTails {
		tail, err := s.Service.Tail(t.Context(), "", &tracestore.Conditions{})
		require.NoError(t, err)
		defer tail.Close()
	}
	ask(NewHandler(s), get("/traces/live"))
}

// askForHealth asks while everything is well, while spans are refused, and when a restart is due.
func askForHealth(t *testing.T, ask func(h http.Handler, requests ...*http.Request)) {
	t.Helper()
	s := settings(nil)
	h := NewHandler(s)
	ask(h, get("/healthz"), get("/healthz?x=1"), get("/readyz"), get("/readyz?x=1"))
	s.Health.Running(true)
	s.Health.Note(
		componentstatus.NewInstanceID(component.MustNewID("otlp"), component.KindReceiver, pipeline.NewID(pipeline.SignalTraces)),
		componenthealth.NeedsRestart(errors.New("broken")))
	s.Health.Note(
		componentstatus.NewInstanceID(component.MustNewID("zipkin"), component.KindReceiver, pipeline.NewID(pipeline.SignalTraces)),
		componentstatus.NewEvent(componentstatus.StatusOK))
	ask(h, get("/healthz"), get("/readyz"))
}

// askForBackups asks for a backup in every way that has an answer of its own.
func askForBackups(t *testing.T, ask func(h http.Handler, requests ...*http.Request)) {
	t.Helper()
	backups := func(err error) http.Handler {
		s := settings(nil)
		s.Service.Storage = func() (tracestore.Backend, error) { return backuper{err: err}, nil }
		return NewHandler(s)
	}
	ask(backups(nil), postBackup("{}"), postBackup(`{"name": "one"}`), postBackup(`{"name": "../one"}`))
	ask(backups(fs.ErrExist), postBackup(`{"name": "one"}`))
	ask(backups(errors.New("broken")), postBackup("{}"))
	ask(backups(tracestore.ErrClosed), postBackup("{}"))
	ask(testHandler(&fakeStorage{}), postBackup("{}")) // which cannot
	s := settings(nil)
	s.BackupDir = ""
	text := postBackup("{}")
	text.Header.Set("Content-Type", "text/plain")
	large := postBackup(strings.Repeat(" ", 100))
	large.Body = http.MaxBytesReader(nil, large.Body, 99)
	ask(NewHandler(s), postBackup("{}"), text, large)
}

// What the document calls a time or a duration is what is taken for one.
func TestTimesAreAsTheDocumentSays(t *testing.T) {
	doc := document(t)
	isMoment := regexp.MustCompile(doc.Components.Schemas["Moment"].Value.Pattern)
	isDuration := regexp.MustCompile(doc.Components.Schemas["Duration"].Value.Pattern)
	for text, want := range map[string]bool{
		"now": true, "-1h": true, "-0": true, "-1.5h": true, "-.5s1.m": true, "-3µs": true, "2026-01-02T15:04:05Z": true,
		"2026-01-02T15:04:05.123456789012+01:30": true,
		"":                                       false, "1h": false, "--1h": false, "-": false, "-1": false, "-1d": false, "-h": false, "-.s": false, "Now": false,
		"2026-01-02T5:04:05Z": false, "2026-01-02T15:04:05,5Z": false, "2026-01-02t15:04:05z": false, "2026-01-02": false,
		"-1h\n": false, "2026-01-02T15:04:05Z ": false,
	} {
		_, err := parseMoment(text, testNow)
		require.Equal(t, want, err == nil, "%q: %v", text, err)
		require.Equal(t, want, isMoment.MatchString(text), "%q", text)
	}
	for text, want := range map[string]bool{
		"0": true, "0s": true, "250ms": true, "1.5s": true, "1m30s": true, "1ns1us1µs1μs1ms1s1m1h": true,
		"": false, "1": false, "-1s": false, "+1s": false, "-0": false, "00": false, "1 s": false, "1S": false,
	} {
		_, err := parseDuration(text)
		require.Equal(t, want, err == nil, "%q: %v", text, err)
		require.Equal(t, want, isDuration.MatchString(text), "%q", text)
	}
}

func FuzzTimesAreAsTheDocumentSays(f *testing.F) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	require.NoError(f, err)
	isMoment := regexp.MustCompile(doc.Components.Schemas["Moment"].Value.Pattern)
	isDuration := regexp.MustCompile(doc.Components.Schemas["Duration"].Value.Pattern)
	for _, text := range []string{"now", "-1.5h", "0", "2026-01-02T15:04:05.5+01:00", "1h1m"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseMoment(text, testNow); err == nil && !isMoment.MatchString(text) {
			t.Errorf("%q is taken for a time", text)
		}
		if _, err := parseDuration(text); err == nil && !isDuration.MatchString(text) {
			t.Errorf("%q is taken for a duration", text)
		}
	})
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}
