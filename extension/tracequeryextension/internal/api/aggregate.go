package api

import (
	"maps"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultOperations = 1000
	maxOperations     = 10_000
	// maxNameLength bounds, in characters, a name that stands in a URL.
	maxNameLength = 4096
)

// GetServices answers with the map of services.
func (h *handler) GetServices(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetServicesParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	asked, _ := p.aggregate(&openapi.GetOperationsParams{
		Start: parameters.Start, End: parameters.End, Environment: parameters.Environment, Service: parameters.Service,
	})
	focus, depth := p.focus(&parameters)
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	found, err := h.Service.ServiceMap(r.Context(), tenant, asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	if focus != "" {
		found = found.Around(focus, depth)
	}
	writeJSON(w, http.StatusOK, "application/json", newServicesAnswer(found, p.now))
}

const (
	defaultFocusDepth = 1
	maxFocusDepth     = 100
)

// focus is the service whose neighbourhood is wanted, and how far it goes.
func (p *requestParser) focus(r *openapi.GetServicesParams) (focus string, depth int) {
	p.length("focus", r.Focus)
	focus, depth = p.text("focus", r.Focus), defaultFocusDepth
	if r.Focus != nil && r.Service != nil {
		p.fault("focus", "stands without service, which is a focus of depth 1")
	}
	if r.Depth != nil {
		depth = p.between("depth", *r.Depth, 0, maxFocusDepth)
		if r.Focus == nil {
			p.fault("depth", "needs focus: the service from which it counts")
		}
	}
	return focus, depth
}

// GetOperations answers with one page of operations.
func (h *handler) GetOperations(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetOperationsParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	asked, cursor := p.aggregate(&parameters)
	asked.ByVersion = parameters.ByVersion != nil && *parameters.ByVersion
	limit := p.limit(parameters.Limit, defaultOperations, maxOperations)
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	page, err := h.Service.Operations(r.Context(), tenant, asked, limit, cursor)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newOperationsAnswer(asked, page, p.now))
}

// accepted is the tenant of a request without faults; it answers the others.
func (h *handler) accepted(w http.ResponseWriter, r *http.Request, faults []fault) (tenant string, ok bool) {
	if len(faults) > 0 {
		newProblem(http.StatusBadRequest, faults...).write(w)
		return "", false
	}
	tenant, refused := h.tenant(r)
	if refused != nil {
		refused.write(w)
		return "", false
	}
	return tenant, true
}

// aggregate reads the parameters that questions about many traces have in common.
func (p *requestParser) aggregate(r *openapi.GetOperationsParams) (*tracestore.AggregateQuery, *query.Cursor) {
	start, end, cursor := p.window(r.Start, r.End, r.Cursor)
	p.length("environment", r.Environment)
	p.length("service", r.Service)
	return &tracestore.AggregateQuery{
		Start: start, End: end, Environment: r.Environment, Service: p.text("service", r.Service),
	}, cursor
}

func (p *requestParser) length(field string, value *string) {
	if value != nil && utf8.RuneCountInString(*value) > maxNameLength {
		p.fault(field, "must not be longer than %d characters", maxNameLength)
	}
}

func newServicesAnswer(found *query.ServiceMap, now time.Time) openapi.ServicesAnswer {
	past := pastSeconds(found.Start, found.End, now)
	answer := openapi.ServicesAnswer{
		Services:     make([]openapi.ServiceNode, 0, len(found.Nodes)),
		Edges:        make([]openapi.Edge, 0, len(found.Edges)),
		Window:       openapi.Window{Start: formatInstant(found.Start), End: formatInstant(found.End)},
		Completeness: newCompleteness(found.Completeness),
	}
	for i := range found.Nodes {
		n := &found.Nodes[i]
		answer.Services = append(answer.Services, openapi.ServiceNode{
			Name: n.Name, Kind: openapi.NodeKind(n.Kind), Calls: n.Calls, Errors: n.Errors, CallsPerSecond: perSecond(n.Calls, past),
			P50Ns: quantile(n.Durations, 0.5), P95Ns: quantile(n.Durations, 0.95), P99Ns: quantile(n.Durations, 0.99),
			Violations: violationCounts(n.Violations),
		})
	}
	for i := range found.Edges {
		e := &found.Edges[i]
		edge := openapi.Edge{
			Parent: e.Parent, Child: e.Child, Protocol: e.Protocol, Calls: e.Calls, Errors: e.Errors, CallsPerSecond: perSecond(e.Calls, past),
			Unanswered: e.Unanswered,
			P50Ns:      quantile(e.Durations, 0.5), P95Ns: quantile(e.Durations, 0.95), P99Ns: quantile(e.Durations, 0.99),
		}
		if context := e.Context; context != nil {
			edge.ContextAccuracy, edge.Violations = context.Accuracy, violationCounts(context.Violations)
			if context.Loss != "" {
				edge.UnansweredReason = new(openapi.EdgeUnansweredReason(context.Loss))
			}
		}
		answer.Edges = append(answer.Edges, edge)
	}
	return answer
}

func violationCounts(violations map[string]int64) (counts []openapi.ViolationCount) {
	for _, name := range slices.Sorted(maps.Keys(violations)) {
		counts = append(counts, openapi.ViolationCount{Violation: name, Spans: violations[name]})
	}
	return counts
}

func newOperationsAnswer(asked *tracestore.AggregateQuery, page *query.OperationsPage, now time.Time) openapi.OperationsAnswer {
	start, end := asked.Minutes()
	past := pastSeconds(start, end, now)
	answer := openapi.OperationsAnswer{
		Operations:   make([]openapi.OperationStatistics, 0, len(page.Operations)),
		NextCursor:   cursorText(page.Next),
		Window:       wholeMinutes(asked),
		Completeness: newCompleteness(page.Completeness),
	}
	for i := range page.Operations {
		o := &page.Operations[i]
		var version *string
		if o.Version != "" {
			version = &o.Version
		}
		answer.Operations = append(answer.Operations, openapi.OperationStatistics{
			Service: o.Service, Operation: o.Operation.Operation, Version: version, Kind: openapi.SpanKind(o.Kind),
			Calls: o.Calls, Weight: o.Weight, Errors: o.Errors, CallsPerSecond: perSecond(o.Calls, past),
			P50Ns: quantile(o.Durations, 0.5), P95Ns: quantile(o.Durations, 0.95), P99Ns: quantile(o.Durations, 0.99),
			SelfTimeNS: o.SelfTime, CriticalPathNS: o.CriticalPathTime,
		})
	}
	return answer
}

// wholeMinutes is what was answered: the minutes that the window touches.
func wholeMinutes(asked *tracestore.AggregateQuery) openapi.Window {
	start, end := asked.Minutes()
	return openapi.Window{Start: formatInstant(start), End: formatInstant(end)}
}

// pastSeconds is how much of the minutes that were answered is over.
func pastSeconds(start, end, now time.Time) float64 {
	if now.Before(end) {
		end = now
	}
	return end.Sub(start).Seconds()
}

func perSecond(calls int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(calls) / seconds
}

func newCompleteness(c tracestore.Completeness) openapi.Completeness {
	share := func(spans int64) float64 {
		if c.Spans <= 0 {
			return 0
		}
		return float64(spans) / float64(c.Spans)
	}
	return openapi.Completeness{
		Spans:        c.Spans,
		PartialSpans: c.Partial, PartialShare: share(c.Partial),
		UnrepairedSpans: c.Unrepaired, UnrepairedShare: share(c.Unrepaired),
		OtherSpans: c.Other, OtherShare: share(c.Other),
	}
}

// quantile is in whole nanoseconds; nil where there are no durations.
func quantile(durations tracestore.Durations, q float64) *int64 {
	if durations == nil {
		return nil
	}
	value, err := durations.GetValueAtQuantile(q)
	if err != nil { // it is empty
		return nil
	}
	// A sketch answers within 1 %, which may lie beyond what int64 holds.
	ns := wholeNS(max(0, value))
	return &ns
}
