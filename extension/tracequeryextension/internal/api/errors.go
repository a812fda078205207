package api

import (
	"net/http"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
)

const (
	defaultPatterns = 20
	maxPatterns     = 1000
)

// GetErrors answers with the failures by pattern.
func (h *handler) GetErrors(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetErrorsParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	window, _ := p.aggregate(&openapi.GetOperationsParams{
		Start: parameters.Start, End: parameters.End, Environment: parameters.Environment, Service: parameters.Service,
	})
	p.length("entry", parameters.Entry)
	p.length("fingerprint", parameters.Fingerprint)
	asked := query.ErrorsQuery{
		Window: *window, Entry: p.text("entry", parameters.Entry), Fingerprint: p.text("fingerprint", parameters.Fingerprint),
		New: parameters.New != nil && *parameters.New, Limit: p.limit(parameters.Limit, defaultPatterns, maxPatterns),
	}
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	found, err := h.Service.Errors(r.Context(), tenant, &asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newErrorsAnswer(&asked, found))
}

func newErrorsAnswer(asked *query.ErrorsQuery, found *query.Errors) openapi.ErrorsAnswer {
	answer := openapi.ErrorsAnswer{
		Patterns: make([]openapi.ErrorPattern, 0, len(found.Patterns)), More: found.More, Failures: found.Failures, PreviousFailures: found.Before,
		Window: wholeMinutes(&asked.Window), PreviousWindow: wholeMinutes(&found.Previous), Completeness: newCompleteness(found.Completeness),
	}
	for i := range found.Patterns {
		answer.Patterns = append(answer.Patterns, newErrorPattern(&found.Patterns[i], found.PreviousKnown))
	}
	return answer
}

func newErrorPattern(p *query.ErrorPattern, previousKnown bool) openapi.ErrorPattern {
	pattern := openapi.ErrorPattern{
		Fingerprint: p.Fingerprint, Service: p.Service, Operation: p.Operation.Operation, Count: p.Count, PreviousCount: p.Before,
		FirstSeen: formatInstant(p.First), LastSeen: formatInstant(p.Last), Entries: make([]openapi.BefallenEntry, 0, len(p.Entries)),
		TraceIds: append([]openapi.TraceID{}, p.TraceIDs...), Points: make([]openapi.ErrorPoint, 0, len(p.Points)), Example: newErrorExample(p.Example),
	}
	if previousKnown {
		pattern.New, pattern.Rising = new(p.Before == 0), &p.Rising
	}
	for _, e := range p.Entries {
		pattern.Entries = append(pattern.Entries, openapi.BefallenEntry{
			Service: e.Service, Operation: e.Operation.Operation, Count: e.Count, Share: min(1, e.Share), RequestsShare: e.Befallen,
		})
	}
	for _, point := range p.Points {
		pattern.Points = append(pattern.Points, openapi.ErrorPoint{Start: formatInstant(point.Start), Count: point.Count})
	}
	return pattern
}

func newErrorExample(e *query.ErrorExample) *openapi.ErrorExample {
	if e == nil {
		return nil
	}
	example := &openapi.ErrorExample{
		TraceID: e.TraceID, Kind: openapi.ErrorKind(e.Kind), ErrorType: given(e.Type), NormalizedMessage: given(e.Message),
		PathLength: e.PathLength, ReachedEntry: e.ReachedEntry,
	}
	for _, o := range e.Path {
		example.Path = append(example.Path, openapi.Operation{Service: o.Service, Operation: o.Operation})
	}
	if e.AbsorbedBy != nil {
		example.Absorbed = &openapi.AbsorbedBy{
			How: openapi.AbsorbedByHow(e.Absorbed), Service: e.AbsorbedBy.Service, Operation: e.AbsorbedBy.Operation,
		}
	}
	return example
}
