package api

import (
	"math"
	"net/http"
	"time"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis/cost"
	"github.com/tracewright/tracewright/internal/analysis/efficiency"
	"github.com/tracewright/tracewright/internal/analysis/latencyprofile"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultEntries = 20
	maxEntries     = 1000
	// maxParts is how many parts of an entry's latency are told.
	maxParts = 100
	// defaultSampleTime and maxSampleTime are for how long whole traces are read.
	defaultSampleTime = 250 * time.Millisecond
	maxSampleTime     = 10 * time.Second
	defaultFactor     = 0.5
	maxFactor         = 1000
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
		Window: *window, Now: p.now, Entry: tracestore.Operation{Service: window.Service, Operation: p.text("operation", parameters.Operation)},
		Limit: p.limit(parameters.Limit, defaultEntries, maxEntries), WhatIf: p.whatIf(&parameters),
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

// whatIf is nil where it is not asked.
func (p *requestParser) whatIf(r *openapi.GetPerformanceParams) *query.WhatIfQuery {
	p.length("what_if_service", r.WhatIfService)
	p.length("what_if_operation", r.WhatIfOperation)
	asked := &query.WhatIfQuery{
		Operation: tracestore.Operation{
			Service: p.text("what_if_service", r.WhatIfService), Operation: p.text("what_if_operation", r.WhatIfOperation),
		},
		Factor: defaultFactor, SampleTime: p.sampleTime(r.SampleTime),
	}
	if (r.WhatIfService == nil) != (r.WhatIfOperation == nil) {
		p.fault("what_if_service", "what_if_service and what_if_operation stand together")
	}
	if r.WhatIfFactor != nil {
		if asked.Factor = *r.WhatIfFactor; !(asked.Factor >= 0 && asked.Factor <= maxFactor) {
			p.fault("what_if_factor", "must be between 0 and %d", maxFactor)
		}
		if r.WhatIfService == nil {
			p.fault("what_if_factor", "stands with what_if_service and what_if_operation")
		}
	}
	if r.WhatIfService == nil {
		return nil
	}
	return asked
}

func (p *requestParser) sampleTime(value *string) time.Duration {
	if value == nil {
		return defaultSampleTime
	}
	d := p.duration("sample_time", value)
	if d > maxSampleTime {
		p.fault("sample_time", "must be at most %s", maxSampleTime)
	}
	return d
}

func newPerformanceAnswer(asked *query.PerformanceQuery, found *query.Performance) openapi.PerformanceAnswer {
	answer := openapi.PerformanceAnswer{
		Entries: make([]openapi.EntryPerformance, 0, len(found.Entries)), More: found.More,
		Bottlenecks: make([]openapi.OperationWait, 0, len(found.Bottlenecks)),
		Services:    make([]openapi.ServiceLoad, 0, len(found.Services)),
		Limits:      make([]openapi.OperationLimit, 0, len(found.Limits)), WhatIf: newWhatIf(found.WhatIf),
		Window: wholeMinutes(&asked.Window), PreviousWindow: wholeMinutes(&found.Previous), Completeness: newCompleteness(found.Completeness),
	}
	for i := range found.Entries {
		answer.Entries = append(answer.Entries, newEntryPerformance(&found.Entries[i], found.Currency))
	}
	for _, b := range found.Bottlenecks {
		answer.Bottlenecks = append(answer.Bottlenecks, openapi.OperationWait{
			Service: b.Service, Operation: b.Operation.Operation, WaitNS: b.Time, PreviousWaitNS: b.Before, Share: min(1, b.Share), Entries: int64(b.Entries),
		})
	}
	for _, s := range found.Services {
		answer.Services = append(answer.Services, openapi.ServiceLoad{
			Service: s.Service, BusyTimeNS: s.BusyTime, Concurrency: s.Concurrency, PeakConcurrency: s.Peak, PreviousConcurrency: s.Before,
		})
	}
	for _, l := range found.Limits {
		answer.Limits = append(answer.Limits, openapi.OperationLimit{
			Service: l.Service, Operation: l.Operation.Operation, LimitPerSecond: l.Rate, LowPerSecond: l.Low, HighPerSecond: l.High,
			BusiestPerSecond: l.Busiest, Utilisation: l.Utilisation, UnloadedNS: wholeNS(l.Unloaded), Fit: min(1, max(0, l.Fit)),
		})
	}
	return answer
}

func newEntryPerformance(e *query.EntryPerformance, currency string) openapi.EntryPerformance {
	answer := openapi.EntryPerformance{
		Entry:  openapi.Operation{Service: e.Service, Operation: e.Operation.Operation},
		Traces: e.Now.Traces, Errors: e.Now.Errors, PreviousTraces: e.Before.Traces, PreviousErrors: e.Before.Errors,
		P50Ns: quantile(e.Now.Durations, 0.5), P95Ns: quantile(e.Now.Durations, 0.95), P99Ns: quantile(e.Now.Durations, 0.99),
		PreviousP50Ns: quantile(e.Before.Durations, 0.5), PreviousP95Ns: quantile(e.Before.Durations, 0.95),
		PreviousP99Ns: quantile(e.Before.Durations, 0.99),
		MeanNS:        wholeNS(e.Profile.Now), Efficiency: newEfficiency(e.Efficiency), Cost: newEntryCost(e, currency),
		Points: make([]openapi.EntryPoint, 0, len(e.Points)),
	}
	if e.Before.Known() {
		answer.PreviousMeanNS = new(wholeNS(e.Profile.Before))
		answer.PreviousEfficiency = new(newEfficiency(e.EfficiencyBefore))
	}
	if e.Now.Known() && e.Before.Known() {
		answer.ChangeNS = new(wholeNS(e.Profile.Change))
	}
	told := min(len(e.Profile.Parts), maxParts)
	answer.Parts = make([]openapi.LatencyPart, 0, told)
	for i := range e.Profile.Parts[:told] {
		answer.Parts = append(answer.Parts, newLatencyPart(&e.Profile.Parts[i], e.Before.Known()))
	}
	rest := 0.0
	for i := range e.Profile.Parts[told:] {
		rest += e.Profile.Parts[told+i].Now
	}
	answer.OtherPartsNS = wholeNS(rest)
	for _, point := range e.Points {
		answer.Points = append(answer.Points, openapi.EntryPoint{
			Start: formatInstant(point.Start), Traces: point.Traces, Errors: point.Errors,
			P50Ns: quantile(point.Durations, 0.5), P95Ns: quantile(point.Durations, 0.95),
		})
	}
	return answer
}

// newLatencyPart compares with what was before where that is known.
func newLatencyPart(p *latencyprofile.Part, known bool) openapi.LatencyPart {
	part := openapi.LatencyPart{
		Service: p.Service, Operation: p.Operation, MeanNS: wholeNS(p.Now), Share: min(1, p.Share), Calls: p.CallsNow,
	}
	if known {
		part.PreviousMeanNS, part.PreviousCalls = new(wholeNS(p.Before)), new(p.CallsBefore)
		part.ChangeNS, part.ChangeByCallsNS, part.ChangeByTimeNS = new(wholeNS(p.Change)), new(wholeNS(p.ByCalls)), new(wholeNS(p.ByTime))
	}
	return part
}

func newEfficiency(e efficiency.Efficiency) openapi.Efficiency {
	return openapi.Efficiency{
		BusyNS: wholeNS(e.BusyTime), Parallelism: e.Parallelism, YieldPerSecond: e.Yield, FailedCallsShare: e.FailedCalls,
	}
}

func newEntryCost(e *query.EntryPerformance, currency string) *openapi.EntryCost {
	if e.Bill == nil {
		return nil
	}
	answer := &openapi.EntryCost{
		Currency: currency, Total: e.Bill.Cost, PerTrace: e.Bill.PerTrace, Services: make([]openapi.ServiceCost, 0, len(e.Bill.Services)),
		UnpricedTimeNS: e.Bill.UnpricedTime,
	}
	if e.BillBefore != nil {
		answer.PreviousPerTrace = &e.BillBefore.PerTrace
	}
	for _, s := range e.Bill.Services {
		answer.Services = append(answer.Services, newServiceCost(s))
	}
	return answer
}

func newServiceCost(s cost.ServiceCost) openapi.ServiceCost {
	return openapi.ServiceCost{Service: s.Service, BusyTimeNS: s.BusyTime, Cost: s.Cost}
}

func newWhatIf(found *query.WhatIf) *openapi.WhatIf {
	if found == nil {
		return nil
	}
	answer := &openapi.WhatIf{
		Service: found.Service, Operation: found.Operation.Operation, Factor: found.Factor, Entries: make([]openapi.EntryWhatIf, 0, len(found.Entries)),
	}
	for i := range found.Entries {
		e := &found.Entries[i]
		entry := openapi.EntryWhatIf{
			Entry:    openapi.Operation{Service: e.Service, Operation: e.Operation.Operation},
			AtMostNS: wholeNS(e.AtMost), Sample: newSample(e.Sample),
		}
		if x := &e.Expected; x.Traces > 0 {
			entry.MeanNS, entry.MeanIfNS = new(wholeNS(x.MeanBefore)), new(wholeNS(x.MeanAfter))
			entry.P95Ns, entry.P95IfNS, entry.FasterShare = &x.P95Before, &x.P95After, &x.WinsTraces
		}
		answer.Entries = append(answer.Entries, entry)
	}
	return answer
}

func newSample(s query.SampleInfo) openapi.Sample {
	return openapi.Sample{Traces: int64(s.Traces), All: s.All, TooLarge: int64(s.TooLarge), Cut: s.Cut}
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
