package api

import (
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis/insights"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultInsights = 20
	maxInsights     = 200
)

// GetInsights answers with what is worth a look.
func (h *handler) GetInsights(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetInsightsParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	window, _ := p.aggregate(&openapi.GetOperationsParams{
		Start: parameters.Start, End: parameters.End, Environment: parameters.Environment, Service: parameters.Service,
	})
	p.length("entry", parameters.Entry)
	asked := query.InsightsQuery{
		Window: *window, Now: p.now, Baseline: p.baseline(parameters.Baseline, window), Kind: insights.Kind(oneOf(&p, "kind", parameters.Kind, insightKinds)),
		Service: window.Service, Entry: p.text("entry", parameters.Entry), Limit: p.limit(parameters.Limit, defaultInsights, maxInsights),
		SampleTime: p.sampleTime(parameters.SampleTime),
	}
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	found, err := h.Service.Insights(r.Context(), tenant, &asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newInsightsAnswer(&asked, found))
}

// insightKinds are the words for kinds.
var insightKinds = func() (words []string) {
	for _, kind := range insights.Kinds {
		words = append(words, string(kind))
	}
	return words
}()

// baseline is when the window begins that is compared with; zero for the one just before.
func (p *requestParser) baseline(value *string, window *tracestore.AggregateQuery) time.Time {
	if value == nil {
		return time.Time{}
	}
	faults := len(p.faults)
	start := p.moment("baseline", value, moment{}).time.Truncate(time.Minute)
	if len(p.faults) > faults || !window.Start.Before(window.End) {
		return start
	}
	first, end := window.Minutes()
	if start.After(first.Add(-end.Sub(first))) {
		p.fault("baseline", "must be at or before %s: the window that is compared with is as long, and ends before this one starts",
			first.Add(-end.Sub(first)).Format(time.RFC3339))
	}
	return start
}

func newInsightsAnswer(asked *query.InsightsQuery, found *query.Insights) openapi.InsightsAnswer {
	answer := openapi.InsightsAnswer{
		Insights: make([]openapi.Insight, 0, len(found.Insights)), More: found.More, Notes: append([]string{}, found.Notes...),
		Sample: newSample(found.Sample), BaselineSample: newSample(found.BaselineSample),
		Window: wholeMinutes(&asked.Window), BaselineWindow: wholeMinutes(&found.Baseline),
		Completeness: newCompleteness(found.Completeness), BaselineCompleteness: newCompleteness(found.BaselineCompleteness),
	}
	for i := range found.Insights {
		answer.Insights = append(answer.Insights, newInsight(&found.Insights[i], &answer.Window))
	}
	return answer
}

func newInsight(i *insights.Insight, window *openapi.Window) openapi.Insight {
	answer := openapi.Insight{
		Kind: openapi.InsightKind(i.Kind), Urgency: openapi.Urgency(i.Urgency), Title: i.Title, Advice: i.Advice,
		Service: given(i.Service), Operation: given(i.Operation), Version: given(i.Version), Others: i.Others,
		Evidence: make([]openapi.Figure, 0, len(i.Evidence)), Confidence: legible(insights.UnitShare, min(1, i.Confidence)), Requests: i.Requests,
		SavingNS: given(max(0, i.SavedTime)), SavingFailures: given(max(0, i.SavedFailures)),
		TraceIds: append([]openapi.TraceID{}, i.TraceIDs...), Entries: make([]openapi.InsightEntry, 0, len(i.Entries)),
		Details: detailsOf(i, window),
	}
	if i.Attribute != (insights.Attribute{}) {
		answer.Attribute = &openapi.InsightAttribute{Key: i.Attribute.Key, Value: i.Attribute.Value}
	}
	for _, f := range i.Evidence {
		figure := openapi.Figure{Name: f.Name, Unit: openapi.FigureUnit(f.Unit), Now: legible(f.Unit, f.Now)}
		if f.Before != nil {
			figure.Before = new(legible(f.Unit, *f.Before))
		}
		answer.Evidence = append(answer.Evidence, figure)
	}
	for _, e := range i.Entries {
		answer.Entries = append(answer.Entries, openapi.InsightEntry{Service: e.Service, Operation: e.Operation.Operation, Share: given(legible(insights.UnitShare, e.Share))})
	}
	return answer
}

// legible leaves out the digits that mean nothing.
func legible(unit insights.Unit, number float64) float64 {
	if unit == insights.UnitNS || unit == insights.UnitCount {
		return math.Round(number)
	}
	const digits = 1e4
	return math.Round(number*digits) / digits
}

// detailsOf is where to read on about an insight.
func detailsOf(i *insights.Insight, window *openapi.Window) string {
	values := url.Values{"start": {window.Start}, "end": {window.End}}
	path := "/traces/operations"
	if i.Service != "" {
		values.Set("service", i.Service)
	}
	switch i.Kind {
	case insights.KindVersionRegression:
		values.Set("by_version", "true")
	case insights.KindSuspect, insights.KindRetryStorm:
		if i.SavedFailures > 0 || i.Kind == insights.KindRetryStorm {
			path = "/traces/errors"
		}
	case insights.KindContextLoss, insights.KindMissingInstrumentation:
		path = "/traces/services"
	case insights.KindSlowerJourney:
		path = "/traces/performance"
		values.Set("operation", i.Operation)
	case insights.KindCapacityLimit:
		path = "/traces/performance"
		values.Del("service") // that of an entry, there
	case insights.KindNPlusOne, insights.KindSerialCalls, insights.KindSkewedHost, insights.KindOutlierAttribute:
		if len(i.TraceIDs) > 0 {
			return "/traces/" + i.TraceIDs[0]
		}
	}
	return path + "?" + values.Encode()
}
