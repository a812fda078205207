package api

import (
	"net/http"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis/insights"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
	"github.com/tracewright/tracewright/internal/servicemap"
)

const (
	defaultWays = 10
	maxWays     = 100

	defaultDepth = 3
)

// GetDependencies answers with the graph of services, measured.
func (h *handler) GetDependencies(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetDependenciesParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	window, _ := p.aggregate(&openapi.GetOperationsParams{
		Start: parameters.Start, End: parameters.End, Environment: parameters.Environment, Service: parameters.Service,
	})
	p.length("from", parameters.From)
	p.length("to", parameters.To)
	asked := query.DependenciesQuery{
		Window: *window, From: p.text("from", parameters.From), To: p.text("to", parameters.To),
		Limit: p.limit(parameters.Limit, defaultWays, maxWays),
		Depth: p.number("depth", parameters.Depth, defaultDepth, servicemap.MaxDepth),
	}
	if (parameters.From == nil) != (parameters.To == nil) {
		p.fault("from", "from and to stand together: the ways between two services")
	}
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	found, err := h.Service.Dependencies(r.Context(), tenant, &asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newDependenciesAnswer(&asked, found))
}

func newDependenciesAnswer(asked *query.DependenciesQuery, found *query.Dependencies) openapi.DependenciesAnswer {
	answer := openapi.DependenciesAnswer{
		Services: make([]openapi.Dependency, 0, len(found.Services)), Cycles: append([][]string{}, found.Cycles...),
		SinglePoints: make([]openapi.SinglePoint, 0, len(found.SinglePoints)), Truncated: found.Truncated, Ways: found.Ways,
		Window: openapi.Window{Start: formatInstant(found.Start), End: formatInstant(found.End)}, Completeness: newCompleteness(found.Completeness),
	}
	for _, d := range found.Services {
		answer.Services = append(answer.Services, openapi.Dependency{
			Name: d.Name, Kind: openapi.NodeKind(d.Kind), Depth: int64(d.Depth), Rank: min(1, d.Rank),
			Callers: int64(d.Callers), Callees: int64(d.Callees),
		})
	}
	for _, p := range found.SinglePoints {
		answer.SinglePoints = append(answer.SinglePoints, openapi.SinglePoint{Service: p.Service, CutOff: int64(p.CutOff), Splits: p.Splits})
	}
	for _, reach := range found.Radius {
		answer.BlastRadius = append(answer.BlastRadius, openapi.Reach{
			Entry:  openapi.Operation{Service: reach.Entry.Service, Operation: reach.Entry.Operation},
			Traces: reach.Traces, AtLeast: reach.AtLeast, AtMost: reach.AtMost,
		})
	}
	for _, s := range found.Suffering {
		suffering := openapi.Suffering{
			Entry: openapi.Operation{Service: s.Entry.Service, Operation: s.Entry.Operation}, Failures: s.Failures, TracesRead: int64(s.Read),
		}
		if s.Read > 0 {
			suffering.FailedShare = new(legible(insights.UnitShare, min(1, s.Share)))
		}
		answer.Suffering = append(answer.Suffering, suffering)
	}
	if found.Neighbours != nil {
		answer.Callers, answer.Callees = newNeighbours(found.Neighbours.Callers), newNeighbours(found.Neighbours.Callees)
	}
	if asked.From != "" {
		answer.WaysTruncated = &found.WaysTruncated
	}
	return answer
}

func newNeighbours(found []servicegraph.Neighbour) []openapi.Neighbour {
	neighbours := make([]openapi.Neighbour, len(found))
	for i, n := range found {
		neighbours[i] = openapi.Neighbour{Service: n.Service, Distance: int64(n.Distance)}
	}
	return neighbours
}
