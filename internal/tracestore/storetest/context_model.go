package storetest

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// contextModel recounts contexts.
type contextModel struct {
	minutes    map[time.Time]*minuteModel
	violations map[[2]string]map[string]int64 // by parent and child
	answered   map[any]bool                   // the edges of the call of which an answer was seen
}

type minuteModel struct {
	sending map[string]bool
	// calls are those that are answered, those that are not, and those that were answered late, by parent and child or peer.
	calls map[[2]string]*[3]int64
	// answers are calls seen, by the peer's name and who answered.
	answers map[string]map[string]int64
}

func newContextModel() contextModel {
	return contextModel{minutes: make(map[time.Time]*minuteModel), violations: make(map[[2]string]map[string]int64)}
}

// call begins a call.
func (m *contextModel) call() { m.answered = make(map[any]bool) }

func (m *contextModel) minute(minute time.Time) *minuteModel {
	if m.minutes[minute] == nil {
		m.minutes[minute] = &minuteModel{
			sending: make(map[string]bool), calls: make(map[[2]string]*[3]int64), answers: make(map[string]map[string]int64),
		}
	}
	return m.minutes[minute]
}

func (m *contextModel) calls(minute time.Time, parent, child string) *[3]int64 {
	at := m.minute(minute)
	key := [2]string{parent, child}
	if at.calls[key] == nil {
		at.calls[key] = new([3]int64)
	}
	return at.calls[key]
}

func (s *modelSpan) violations() (names []string) {
	if v, ok := s.Attributes().Get(conventions.AttrViolations); ok {
		for _, name := range v.Slice().All() {
			names = append(names, name.Str())
		}
	}
	return names
}

func (s *modelSpan) conflicting() bool {
	return slices.Contains(s.violations(), conventions.ViolationConflictingSpanID)
}

func (m *model) addViolations(s *modelSpan, _ time.Time) {
	if !m.in(s.environment) {
		return
	}
	key := [2]string{s.text(conventions.AttrParentService), s.operation.Service}
	for _, name := range s.violations() {
		if m.contexts.violations[key] == nil {
			m.contexts.violations[key] = make(map[string]int64)
		}
		m.contexts.violations[key][name]++
	}
}

// addAnswer notes that the service sends, and under which name it is called where this shows for the first time in a call.
func (m *contextModel) addAnswer(release *tracetree.Release, s *modelSpan, minute time.Time) {
	at := m.minute(minute)
	service := s.operation.Service
	at.sending[service] = true
	caller := s.named(conventions.AttrParentService, conventions.AttrParentOperation)
	if caller.Service == "" {
		return
	}
	edge := [...]any{s.environment, caller, s.operation, conventions.ReadProtocol(s.Span.Span)}
	if m.answered[edge] {
		return
	}
	m.answered[edge] = true
	for _, from := range release.Spans {
		parent := readModelSpan(from)
		if parent.SpanID() != s.ParentSpanID() || parent.Kind() != ptrace.SpanKindClient || parent.conflicting() ||
			parent.text(conventions.AttrPeerService) != "" {
			continue
		}
		peer, kind := conventions.ReadCall(parent.Span.Span).Peer, conventions.ReadCall(parent.Span.Span).PeerKind
		if kind != conventions.KindExternal || peer == service || inside(peer) == service {
			return
		}
		if at.answers[peer] == nil {
			at.answers[peer] = make(map[string]int64)
		}
		at.answers[peer][service]++
	}
}

// inside is the service that an internal host of the traffic names.
func inside(peer string) string {
	host, _, _ := strings.Cut(peer, ":")
	if service, found := strings.CutSuffix(host, ".shop.svc"); found {
		return service
	}
	if strings.Contains(host, ".") {
		return ""
	}
	return host
}

func (m *minuteModel) resolve(peer string) string {
	if m.sending[peer] {
		return peer
	}
	if m.sending[inside(peer)] {
		return inside(peer)
	}
	total := int64(0)
	for _, n := range m.answers[peer] {
		total += n
	}
	for service, n := range m.answers[peer] {
		if 10*n >= 9*total && m.sending[service] {
			return service
		}
	}
	return ""
}

// contextList is what the store is to answer.
func (m *model) contextList() (list []tracestore.ContextAggregate) {
	sums := make(map[[2]string]*[3]int64)
	peers := make(map[[2]string][]string)
	add := func(key [2]string) *[3]int64 {
		if sums[key] == nil {
			sums[key] = new([3]int64)
		}
		return sums[key]
	}
	for _, minute := range m.contexts.minutes {
		for key, calls := range minute.calls {
			add(key)[0] += calls[0]
			if calls[1] == 0 && calls[2] == 0 {
				continue
			}
			if service := minute.resolve(key[1]); service != "" && service != key[0] {
				to := [2]string{key[0], service}
				add(to)[1] += calls[1]
				add(to)[2] += calls[2]
				if !slices.Contains(peers[to], key[1]) {
					peers[to] = append(peers[to], key[1])
				}
			}
		}
	}
	for key := range m.contexts.violations {
		add(key)
	}
	for key, calls := range sums {
		slices.Sort(peers[key])
		c := tracestore.ContextAggregate{
			Parent: key[0], Child: key[1], Calls: calls[0], Unanswered: max(0, calls[1]-calls[2]), Peers: peers[key],
			Violations: m.contexts.violations[key],
		}
		if m.of(c.Parent, c.Child) && (c.Calls > 0 || c.Unanswered > 0 || c.Violations != nil) {
			list = append(list, c)
		}
	}
	return list
}

// addContrasts counts the values of a trace, which are those of its services' versions and what its entry says.
func (m *model) addContrasts(release *tracetree.Release, root *modelSpan, failed bool) {
	if !m.in(root.environment) {
		return
	}
	entry := root.named(conventions.AttrEntryService, conventions.AttrEntryOperation)
	values := make(map[tracestore.ContrastAggregate]bool)
	add := func(service, key string, attrs ...pcommon.Map) {
		for _, list := range attrs {
			if v, ok := list.Get(key); ok {
				if m.of(service) {
					values[tracestore.ContrastAggregate{Entry: entry, Service: service, Key: key, Value: v.AsString()}] = true
				}
				return
			}
		}
	}
	for _, span := range release.Spans {
		add(span.Service(), "service.version", span.Resource.Attributes())
	}
	for _, key := range []string{"http.response.status_code", "k8s.node.name", "cloud.availability_zone", "user.tier"} {
		add(entry.Service, key, root.Attributes(), root.Resource.Attributes())
	}
	for value := range values {
		c := at(m.contrasts, value)
		c.traces++
		if failed {
			c.errors++
		}
	}
}
