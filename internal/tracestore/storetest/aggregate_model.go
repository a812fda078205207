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
func testAggregateModel(t *testing.T, store Store) {
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
		query.ByVersion, query.ByOperation = random.IntN(2) == 0, random.IntN(2) == 0
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
	contexts   contextModel
	contrasts  map[tracestore.ContrastAggregate]*tally
}

type errorKey struct {
	fingerprint      string
	operation, entry tracestore.Operation
}

type tally struct {
	traces, calls, errors, self, path, roots int64
	weight                                   float64
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
		contexts: newContextModel(), contrasts: make(map[tracestore.ContrastAggregate]*tally),
	}
}

func at[K comparable](m map[K]*tally, key K) *tally {
	if m[key] == nil {
		m[key] = newTally()
	}
	return m[key]
}

func newTally() *tally {
	return &tally{outcomes: make(map[string]int64), retractedOutcomes: make(map[string]int64), ids: make(map[string]bool)}
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
	if s.ParentSpanID().IsEmpty() {
		c.roots++
	}
	c.weight += s.weight()
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

// weight is the adjusted count, 1 where there is none.
func (s *modelSpan) weight() float64 {
	v, ok := s.Attributes().Get(conventions.AttrWeight)
	switch {
	case !ok:
		return 1
	case v.Type() == pcommon.ValueTypeInt:
		return float64(v.Int())
	}
	return v.Double()
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
	m.contexts.call()
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
		m.addViolations(s, minute)
		if !s.conflicting() {
			failed = failed || s.failed
			spans = append(spans, s)
		}
	}
	seen := make(map[[2]tracestore.Operation]bool)
	for i, s := range spans {
		m.addRepairs(s, minute)
		if s.ParentSpanID().IsEmpty() && release.First() && i == 0 {
			m.addContrasts(release, s, failed)
		}
		if !m.in(s.environment) {
			continue
		}
		m.addSpan(release, s, minute, seen)
		m.contexts.addAnswer(release, s, minute)
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
	m.addEdges(s, minute)
	if !m.of(s.operation.Service) {
		return
	}
	kind := []string{"unspecified", "internal", "server", "client", "producer", "consumer"}[s.Kind()]
	version := ""
	if v, ok := s.Resource.Attributes().Get("service.version"); ok && m.query.ByVersion {
		version = v.Str()
	}
	at(m.operations, tracestore.OperationAggregate{Operation: s.operation, Version: version, Kind: kind}).count(s)
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

func (m *model) addEdges(s *modelSpan, minute time.Time) {
	protocol := "unknown"
	for _, key := range []string{"http.method", "rpc.system", "db.system"} { // the last goes first
		if s.text(key) != "" {
			protocol = protocols[key]
		}
	}
	if caller := s.named(conventions.AttrParentService, conventions.AttrParentOperation); caller.Service != "" {
		m.edge(caller, s.operation, conventions.KindService, protocol).count(s)
		m.contexts.calls(minute, caller.Service, s.operation.Service)[0]++
	}
	peer := s.text(conventions.AttrPeerService)
	if peer != "" && (s.Kind() == ptrace.SpanKindClient || s.Kind() == ptrace.SpanKindProducer) {
		kind := s.text(conventions.AttrPeerKind)
		m.edge(s.operation, tracestore.Operation{Service: peer}, kind, protocol).count(s)
		if kind == conventions.KindExternal {
			m.contexts.calls(minute, s.operation.Service, peer)[1]++
		}
	}
}

// edge is a tally that is not looked at where the query does not ask for the edge.
func (m *model) edge(parent, child tracestore.Operation, kind, protocol string) *tally {
	if !m.of(parent.Service, child.Service) {
		return newTally()
	}
	key := tracestore.EdgeAggregate{Parent: parent.Service, Child: child.Service, ChildKind: kind, Protocol: protocol}
	if m.query.ByOperation {
		key.ParentOperation, key.ChildOperation = parent.Operation, child.Operation
	}
	return at(m.edges, key)
}

// in says whether the query asks for the environment.
func (m *model) in(environment string) bool {
	return m.query.Environment == nil || *m.query.Environment == environment
}

// addRepairs counts what the span says of earlier releases, in environments of their own.
func (m *model) addRepairs(s *modelSpan, minute time.Time) {
	if children, ok := s.Attributes().Get(conventions.AttrChildService); ok {
		for i := range children.Slice().Len() {
			if !m.in(s.element(conventions.AttrChildEnvironment, i).Str()) {
				continue
			}
			child := tracestore.Operation{
				Service: children.Slice().At(i).Str(), Operation: s.element(conventions.AttrChildOperation, i).Str(),
			}
			protocol := cmp.Or(s.element(conventions.AttrChildProtocol, i).Str(), "unknown")
			edge := m.edge(s.operation, child, conventions.KindService, protocol)
			calls := max(1, s.element(conventions.AttrChildCalls, i).Int())
			edge.calls += calls
			if s.element(conventions.AttrChildError, i).Bool() {
				edge.errors += calls
			}
			edge.durations = append(edge.durations, s.element(conventions.AttrChildDuration, i).Int())
			m.contexts.calls(minute, s.operation.Service, child.Service)[0] += calls
		}
	}
	parent := s.named(conventions.AttrParentService, conventions.AttrParentOperation)
	peer := tracestore.Operation{Service: s.text(conventions.AttrRetractedPeerService)}
	if peer.Service != "" && m.in(s.text(conventions.AttrRetractedEnvironment)) {
		protocol := cmp.Or(s.text(conventions.AttrRetractedProtocol), "unknown")
		m.edge(parent, peer, conventions.KindExternal, protocol).retract("", s.flag(conventions.AttrRetractedError))
		if parent.Service != "" {
			m.contexts.calls(minute, parent.Service, peer.Service)[2]++
		}
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
