package storetest

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// testAggregateModel writes random calls, some of them again, and compares every aggregate of random windows with a recount
// of the spans.
func testAggregateModel(t *testing.T, store tracestore.Backend) {
	random := rand.New(rand.NewPCG(4, 2))
	maker := callMaker{random}
	var calls []ptrace.Traces
	for range 60 {
		calls = append(calls, maker.call())
		write(t, store, calls[len(calls)-1])
		if random.IntN(4) == 0 {
			write(t, store, calls[random.IntN(len(calls))])
		}
	}
	for range 40 {
		from := now.Add(time.Duration(random.IntN(360)-20) * time.Second)
		query := &tracestore.AggregateQuery{Start: from, End: from.Add(time.Duration(random.IntN(360)) * time.Second)}
		if random.IntN(2) == 0 {
			query.Environment = new(pick(random, environments))
		}
		if random.IntN(2) == 0 {
			query.Service = pick(random, services)
		}
		tenant := pick(random, tenants)
		m := newModel(query)
		for _, td := range calls {
			m.add(tenant, td)
		}
		m.compare(t, store, tenant)
	}
}

// model recounts what a query asks for, in the plainest way.
type model struct {
	query      *tracestore.AggregateQuery
	operations map[tracestore.OperationAggregate]*tally // by what names them
	edges      map[tracestore.EdgeAggregate]*tally
	entries    map[tracestore.Operation]*tally
	through    map[[2]tracestore.Operation]*tally
	errors     map[errorKey]*tally
	spans      tracestore.Completeness
}

type errorKey struct {
	fingerprint      string
	operation, entry tracestore.Operation
}

type tally struct {
	traces, calls, errors, self, path int64
	// Of edges and entries: what is taken back.
	retracted, retractedErrors int64
	retractedOutcomes          map[string]int64
	durations                  []int64
	outcomes                   map[string]int64
	first, last                time.Time
	ids                        map[string]bool
}

func newModel(query *tracestore.AggregateQuery) *model {
	return &model{
		query: query, operations: make(map[tracestore.OperationAggregate]*tally), edges: make(map[tracestore.EdgeAggregate]*tally),
		entries: make(map[tracestore.Operation]*tally), through: make(map[[2]tracestore.Operation]*tally), errors: make(map[errorKey]*tally),
	}
}

func at[K comparable](m map[K]*tally, key K) *tally {
	if m[key] == nil {
		m[key] = &tally{outcomes: make(map[string]int64), retractedOutcomes: make(map[string]int64), ids: make(map[string]bool)}
	}
	return m[key]
}

// count adds a span.
func (c *tally) count(s *modelSpan) {
	c.calls++
	if s.failed {
		c.errors++
	}
	c.self += s.number(conventions.AttrSelfTime)
	c.path += s.number(conventions.AttrCriticalPathTime)
	c.durations = append(c.durations, s.duration)
}

// modelSpan is a span and what it says.
type modelSpan struct {
	tracetree.Span
	operation   tracestore.Operation
	environment string
	failed      bool
	duration    int64
}

func (s *modelSpan) text(key string) string {
	v, _ := s.Attributes().Get(key)
	return v.Str()
}

func (s *modelSpan) number(key string) int64 {
	v, ok := s.Attributes().Get(key)
	if !ok {
		return 0
	}
	return v.Int()
}

func (s *modelSpan) flag(key string) bool {
	v, ok := s.Attributes().Get(key)
	return ok && v.Bool()
}

// element is the i-th of a slice; absent slices hold empty values.
func (s *modelSpan) element(key string, i int) pcommon.Value {
	if v, ok := s.Attributes().Get(key); ok {
		return v.Slice().At(i)
	}
	return pcommon.NewValueEmpty()
}

func (s *modelSpan) named(service, name string) tracestore.Operation {
	return tracestore.Operation{Service: s.text(service), Operation: s.text(name)}
}

func readModelSpan(from tracetree.Span) *modelSpan {
	s := &modelSpan{Span: from, failed: from.Status().Code() == ptrace.StatusCodeError}
	s.operation = tracestore.Operation{Service: from.Service(), Operation: from.Name()}
	if name := s.text(conventions.AttrOperation); name != "" {
		s.operation.Operation = name
	}
	for _, key := range []string{"deployment.environment", "deployment.environment.name"} {
		if v, ok := from.Resource.Attributes().Get(key); ok {
			s.environment = v.Str()
		}
	}
	s.duration = max(0, int64(from.EndTimestamp())-int64(from.StartTimestamp()))
	return s
}

// add counts a call of the tenant's, if it is in the window.
func (m *model) add(tenant string, td ptrace.Traces) {
	for _, release := range tracetree.Releases(td) {
		minute := time.Unix(0, release.ReleasedAt).Truncate(time.Minute)
		outside := !minute.Before(m.query.End) || !minute.Add(time.Minute).After(m.query.Start) || !m.query.Start.Before(m.query.End)
		if release.Tenant == tenant && !outside {
			m.addRelease(&release, minute.UTC())
		}
	}
}

func (m *model) addRelease(release *tracetree.Release, minute time.Time) {
	failed := false
	var spans []*modelSpan
	for _, from := range release.Spans {
		s := readModelSpan(from)
		if _, conflicting := from.Attributes().Get(conventions.AttrViolations); !conflicting {
			failed = failed || s.failed
			spans = append(spans, s)
		}
	}
	seen := make(map[[2]tracestore.Operation]bool)
	for i, s := range spans {
		m.addRepairs(s)
		if m.query.Environment != nil && *m.query.Environment != s.environment {
			continue
		}
		m.addSpan(release, s, minute, seen)
		if s.flag(conventions.AttrOrphan) {
			m.spans.Unrepaired++
		}
		m.spans.Unrepaired -= s.number(conventions.AttrRepaired)
		if i == 0 && s.ParentSpanID().IsEmpty() && release.First() && m.of(s.named(conventions.AttrEntryService, "").Service) {
			entry := at(m.entries, s.named(conventions.AttrEntryService, conventions.AttrEntryOperation))
			entry.traces++
			entry.durations = append(entry.durations, s.duration)
			entry.outcomes[release.Outcome]++
			if failed {
				entry.errors++
			}
		}
	}
}

// of says whether the query asks for one of the services.
func (m *model) of(list ...string) bool {
	return m.query.Service == "" || slices.Contains(list, m.query.Service)
}

func (m *model) addSpan(release *tracetree.Release, s *modelSpan, minute time.Time, seen map[[2]tracestore.Operation]bool) {
	m.spans.Spans++
	if !release.Whole() {
		m.spans.Partial++
	}
	m.addEdges(s)
	if !m.of(s.operation.Service) {
		return
	}
	kind := []string{"unspecified", "internal", "server", "client", "producer", "consumer"}[s.Kind()]
	at(m.operations, tracestore.OperationAggregate{Operation: s.operation, Kind: kind}).count(s)
	entry := s.named(conventions.AttrEntryService, conventions.AttrEntryOperation)
	through := at(m.through, [2]tracestore.Operation{entry, s.operation})
	through.count(s)
	// Environments are series of their own: a trace counts once in each.
	once := [2]tracestore.Operation{{Service: s.environment}, s.operation}
	if !seen[once] {
		seen[once] = true
		through.traces++
	}
	if origin, ok := s.Attributes().Get(conventions.AttrErrorOrigin); ok && origin.Bool() {
		failure := at(m.errors, errorKey{s.text(conventions.AttrErrorFingerprint), s.operation, entry})
		failure.calls++
		failure.ids[release.TraceID.String()] = true
		if failure.first.IsZero() || minute.Before(failure.first) {
			failure.first = minute
		}
		if minute.After(failure.last) {
			failure.last = minute
		}
	}
}

func (m *model) addEdges(s *modelSpan) {
	protocol := "unknown"
	for _, key := range []string{"http.method", "rpc.system", "db.system"} { // the last goes first
		if s.text(key) != "" {
			protocol = protocols[key]
		}
	}
	edge := func(parent, child, kind string) *tally {
		if parent == "" || child == "" || !m.of(parent, child) {
			return &tally{}
		}
		return at(m.edges, tracestore.EdgeAggregate{Parent: parent, Child: child, ChildKind: kind, Protocol: protocol})
	}
	edge(s.text(conventions.AttrParentService), s.operation.Service, conventions.KindService).count(s)
	if s.Kind() == ptrace.SpanKindClient || s.Kind() == ptrace.SpanKindProducer {
		edge(s.operation.Service, s.text(conventions.AttrPeerService), conventions.KindExternal).count(s)
	}
}

// in says whether the query asks for the environment.
func (m *model) in(environment string) bool {
	return m.query.Environment == nil || *m.query.Environment == environment
}

// addRepairs counts what the span says of earlier releases, in environments of their own.
func (m *model) addRepairs(s *modelSpan) {
	if children, ok := s.Attributes().Get(conventions.AttrChildService); ok {
		for i := range children.Slice().Len() {
			child := children.Slice().At(i).Str()
			if !m.in(s.element(conventions.AttrChildEnvironment, i).Str()) || !m.of(s.operation.Service, child) {
				continue
			}
			protocol := cmp.Or(s.element(conventions.AttrChildProtocol, i).Str(), "unknown")
			edge := at(m.edges, tracestore.EdgeAggregate{
				Parent: s.operation.Service, Child: child, ChildKind: conventions.KindService, Protocol: protocol,
			})
			calls := max(1, s.element(conventions.AttrChildCalls, i).Int())
			edge.calls += calls
			if s.element(conventions.AttrChildError, i).Bool() {
				edge.errors += calls
			}
			edge.durations = append(edge.durations, s.element(conventions.AttrChildDuration, i).Int())
		}
	}
	parent, peer := s.text(conventions.AttrParentService), s.text(conventions.AttrRetractedPeerService)
	if peer != "" && m.in(s.text(conventions.AttrRetractedEnvironment)) && m.of(parent, peer) {
		protocol := cmp.Or(s.text(conventions.AttrRetractedProtocol), "unknown")
		at(m.edges, tracestore.EdgeAggregate{Parent: parent, Child: peer, ChildKind: conventions.KindExternal, Protocol: protocol}).
			retract("", s.flag(conventions.AttrRetractedError))
	}
	if outcome := s.text(conventions.AttrEntryOutcome); outcome != "" {
		m.correctEntry(s, outcome)
	}
}

func (m *model) correctEntry(s *modelSpan, outcome string) {
	was := s.named(conventions.AttrRetractedEntryService, conventions.AttrRetractedEntryOperation)
	is := s.named(conventions.AttrEntryService, conventions.AttrEntryOperation)
	if m.in(s.text(conventions.AttrEntryEnvironment)) && m.of(is.Service) {
		entry := at(m.entries, is)
		if s.flag(conventions.AttrEntryError) {
			entry.errors++
		}
		if was.Service != "" {
			entry.traces++
			entry.outcomes[outcome]++
			entry.durations = append(entry.durations, s.duration)
			if s.flag(conventions.AttrRetractedEntryError) {
				entry.errors++
			}
		}
	}
	if was.Service != "" && m.in(s.text(conventions.AttrRetractedEntryEnvironment)) && m.of(was.Service) {
		at(m.entries, was).retract(outcome, s.flag(conventions.AttrRetractedEntryError))
	}
}

func (c *tally) retract(outcome string, failed bool) {
	c.retracted++
	c.retractedOutcomes[outcome]++
	if failed {
		c.retractedErrors++
	}
}
