package api

import (
	"math"
	"net/http"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis/latencyprofile"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultEntries = 20
	maxEntries     = 1000
	// maxParts is how many parts of an entry's latency are told.
	maxParts = 100
)

// GetPerformance answers with what the latency of requests is made of.
func (h *handler) GetPerformance(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetPerformanceParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	window, _ := p.aggregate(&openapi.GetOperationsParams{
		Start: parameters.Start, End: parameters.End, Environment: parameters.Environment, Service: parameters.Service,
	})
	p.length("operation", parameters.Operation)
	asked := query.PerformanceQuery{
		Window: *window, Entry: tracestore.Operation{Service: window.Service, Operation: p.text("operation", parameters.Operation)},
		Limit: p.limit(parameters.Limit, defaultEntries, maxEntries),
	}
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	found, err := h.Service.Performance(r.Context(), tenant, &asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newPerformanceAnswer(&asked, found))
}

func newPerformanceAnswer(asked *query.PerformanceQuery, found *query.Performance) openapi.PerformanceAnswer {
	answer := openapi.PerformanceAnswer{
		Entries: make([]openapi.EntryPerformance, 0, len(found.Entries)), More: found.More,
		Services: make([]openapi.ServiceLoad, 0, len(found.Services)),
		Window:   wholeMinutes(&asked.Window), PreviousWindow: wholeMinutes(&found.Previous), Completeness: newCompleteness(found.Completeness),
	}
	for i := range found.Entries {
		answer.Entries = append(answer.Entries, newEntryPerformance(&found.Entries[i]))
	}
	for _, s := range found.Services {
		answer.Services = append(answer.Services, openapi.ServiceLoad{
			Service: s.Service, BusyTimeNS: s.BusyTime, Concurrency: s.Concurrency, PreviousConcurrency: s.Before,
		})
	}
	return answer
}

func newEntryPerformance(e *query.EntryPerformance) openapi.EntryPerformance {
	answer := openapi.EntryPerformance{
		Entry:  openapi.Operation{Service: e.Service, Operation: e.Operation.Operation},
		Traces: e.Now.Traces, Errors: e.Now.Errors, PreviousTraces: e.Before.Traces, PreviousErrors: e.Before.Errors,
		P50Ns: quantile(e.Now.Durations, 0.5), P95Ns: quantile(e.Now.Durations, 0.95), P99Ns: quantile(e.Now.Durations, 0.99),
		PreviousP50Ns: quantile(e.Before.Durations, 0.5), PreviousP95Ns: quantile(e.Before.Durations, 0.95),
		PreviousP99Ns: quantile(e.Before.Durations, 0.99),
		MeanNS:        wholeNS(e.Profile.Now), PreviousMeanNS: wholeNS(e.Profile.Before), ChangeNS: wholeNS(e.Profile.Change),
	}
	told := min(len(e.Profile.Parts), maxParts)
	answer.Parts = make([]openapi.LatencyPart, 0, told)
	for i := range e.Profile.Parts[:told] {
		answer.Parts = append(answer.Parts, newLatencyPart(&e.Profile.Parts[i]))
	}
	rest := 0.0
	for i := range e.Profile.Parts[told:] {
		rest += e.Profile.Parts[told+i].Now
	}
	answer.OtherPartsNS = wholeNS(rest)
	return answer
}

func newLatencyPart(p *latencyprofile.Part) openapi.LatencyPart {
	return openapi.LatencyPart{
		Service: p.Service, Operation: p.Operation, MeanNS: wholeNS(p.Now), PreviousMeanNS: wholeNS(p.Before),
		Share: min(1, p.Share), Calls: p.CallsNow, PreviousCalls: p.CallsBefore,
		ChangeNS: wholeNS(p.Change), ChangeByCallsNS: wholeNS(p.ByCalls), ChangeByTimeNS: wholeNS(p.ByTime),
	}
}

// wholeNS is a time in whole nanoseconds, within what int64 holds.
func wholeNS(ns float64) int64 {
	switch rounded := math.Round(ns); {
	case rounded >= math.MaxInt64:
		return math.MaxInt64
	case rounded <= math.MinInt64:
		return math.MinInt64
	default:
		return int64(rounded)
	}
}
