package query

import (
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/insights"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// insightReader reads one window.
type insightReader struct {
	insights.Window

	reader       tracestore.Reader
	tenant       string
	window       tracestore.AggregateQuery
	completeness tracestore.Completeness
}

// readWindow reads what rollups know.
func readWindow(ctx context.Context, reader tracestore.Reader, tenant string, window *tracestore.AggregateQuery, entry string) (insightReader, error) {
	r := insightReader{reader: reader, tenant: tenant, window: *window}
	r.EntryTraces, r.EntryDurations = make(map[insights.Operation]int64), make(map[insights.Operation][]insights.Bin)
	whole := int64(0)
	for e, err := range reader.Entries(ctx, tenant, window) { // with durations: outliers are weighed by them
		if err != nil {
			return r, err
		}
		r.EntryTraces[insights.Operation(e.Operation)] += e.Traces
		r.EntryDurations[insights.Operation(e.Operation)] = bins(e.Durations)
		if entry == "" || entry == e.Operation.Operation {
			r.Traces += e.Traces
			whole += e.Traces - e.Outcomes[conventions.OutcomePart] - e.Outcomes[conventions.OutcomeInterim]
		}
	}
	waited := 0.0
	for o, err := range reader.EntryOperations(ctx, tenant, window) {
		if err != nil {
			return r, err
		}
		r.Parts = append(r.Parts, insights.Part{Entry: insights.Operation(o.Entry), Operation: insights.Operation(o.Operation), Traces: o.Traces})
		if entry == "" || entry == o.Entry.Operation {
			waited += float64(o.CriticalPathTime)
		}
	}
	if whole > 0 {
		r.MeanTime = waited / float64(whole)
	}
	for c, err := range reader.Contrasts(ctx, tenant, window) {
		if err != nil {
			return r, err
		}
		r.Attributes = append(r.Attributes, insights.AttributeSum{
			Entry: insights.Operation(c.Entry), Service: c.Service, Key: c.Key, Value: c.Value,
			Traces: c.Traces, Errors: c.Errors, Slow: c.Slow, Judged: c.Judged,
		})
	}
	known := newContexts()
	byVersion := *window
	byVersion.ByVersion = true
	for o, err := range reader.Operations(ctx, tenant, &byVersion) {
		if err != nil {
			return r, err
		}
		known.addRoots(&o)
		r.Operations = append(r.Operations, newOperationSum(&o))
	}
	slices.SortFunc(r.Operations, compareSums)
	if err := known.read(ctx, reader, tenant, window); err != nil {
		return r, err
	}
	r.Edges = known.edges()
	var err error
	if r.completeness, err = reader.Completeness(ctx, tenant, window); err == nil && r.completeness.Spans > 0 {
		r.OtherShare = float64(r.completeness.Other) / float64(r.completeness.Spans)
	}
	return r, err
}

// bins are those of a distribution, sorted.
func bins(durations tracestore.Durations) (list []insights.Bin) {
	if durations == nil {
		return nil
	}
	durations.ForEach(func(ns, n float64) (stop bool) {
		list = append(list, insights.Bin{NS: ns, Count: n})
		return false
	})
	slices.SortFunc(list, func(a, b insights.Bin) int { return cmp.Compare(a.NS, b.NS) })
	return list
}

func newOperationSum(o *tracestore.OperationAggregate) insights.OperationSum {
	sum := insights.OperationSum{
		Operation: insights.Operation(o.Operation), Version: o.Version, Serves: o.Kind == "server" || o.Kind == "consumer",
		Calls: o.Calls, Errors: o.Errors, SelfTime: o.SelfTime,
	}
	if o.Durations == nil {
		return sum
	}
	total, count := 0.0, 0.0
	o.Durations.ForEach(func(ns, n float64) (stop bool) {
		sum.Log.AddMany(math.Log(max(ns, 1)), int64(n))
		total, count = total+ns*n, count+n
		return false
	})
	if count > 0 {
		sum.MeanTime = total / count
	}
	return sum
}

func compareSums(a, b insights.OperationSum) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation.Operation, b.Operation.Operation), cmp.Compare(a.Version, b.Version))
}

// edges are all pairs of services of which it is known how the context comes across, by name.
func (c *contexts) edges() (edges []insights.Edge) {
	for pair, calls := range c.pairs {
		if e := c.edge(pair[0], pair[1]); e != nil && e.Accuracy != nil {
			edges = append(edges, insights.Edge{
				Parent: pair[0], Child: pair[1], Calls: calls.Calls, Unanswered: calls.Unanswered, Reason: insights.LossReason(e.Loss),
			})
		}
	}
	slices.SortFunc(edges, func(a, b insights.Edge) int {
		return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child))
	})
	return edges
}

func readLoads(
	ctx context.Context, reader tracestore.AggregateReader, tenant string, window *tracestore.AggregateQuery, now time.Time,
) (loads []insights.Load, err error) {
	course := newCourse(window, now)
	if err := course.read(ctx, reader, tenant, func(int, *tracestore.OperationAggregate) {}); err != nil {
		return nil, err
	}
	for _, of := range course.operations() {
		loads = append(loads, insights.Load{Operation: insights.Operation(of.Operation), Minutes: of.minutes})
	}
	return loads, nil
}

// sample reads whole traces of the window, for as long as it may.
func (r *insightReader) sample(ctx context.Context, entry string, until time.Time) (SampleInfo, error) {
	drawn := sampling{reader: r.reader, tenant: r.tenant, window: r.window, where: inEnvironment(r.window.Environment), until: until}
	drawn.where.Trace.Entry.Operation = entry
	var err error
	drawn.parts, err = countParts(ctx, r.reader, r.tenant, &r.window, func(o tracestore.Operation) bool { return entry == "" || entry == o.Operation })
	if err != nil {
		return drawn.info, err
	}
	var samples []insights.Sample
	err = drawn.draw(ctx, func(n int) { samples = make([]insights.Sample, n) }, func(place int, result *analysis.Result) {
		samples[place] = insights.Read(result)
	})
	r.Samples = slices.DeleteFunc(samples, func(s insights.Sample) bool { return s.TraceID == "" }) // not read
	return drawn.info, err
}

const (
	// maxSessions is how many sessions of a window are followed.
	maxSessions = 300
	// maxJourneyTraces is how many traces of them are read.
	maxJourneyTraces = 2000
)

// followSessions reads all traces of some sessions, or users: those of sampled traces.
func (r *insightReader) followSessions(ctx context.Context, until time.Time) error {
	known := make(map[string]bool)
	var who []tracestore.Conditions
	for i := range r.Samples {
		v := &r.Samples[i].Visit
		key, value := "session.id", v.Session
		if value == "" {
			key, value = "user.id", v.User
		}
		if value == "" || known[key+value] || len(who) == maxSessions {
			continue
		}
		known[key+value] = true
		who = append(who, tracestore.Conditions{Span: tracestore.SpanConditions{
			Attributes: []tracestore.AttributeCondition{{Scope: tracestore.ScopeAny, Key: key, Op: tracestore.OpEqual, Text: value}},
		}})
	}
	if len(who) == 0 {
		return nil
	}
	drawn := sampling{reader: r.reader, tenant: r.tenant, where: tracestore.Conditions{Or: who}, until: until}
	ids, err := drawn.search(ctx, r.window.Start, r.window.End, maxJourneyTraces)
	if err != nil {
		return err
	}
	sampled := make(map[string]*insights.Sample, len(r.Samples))
	for i := range r.Samples {
		sampled[r.Samples[i].TraceID] = &r.Samples[i]
	}
	var unread []pcommon.TraceID
	for _, id := range ids {
		if s := sampled[hex.EncodeToString(id[:])]; s != nil {
			r.Journeys = append(r.Journeys, s.Visit)
		} else {
			unread = append(unread, id)
		}
	}
	visits := make([]insights.Visit, len(unread))
	err = drawn.readAll(ctx, unread, func(place int, result *analysis.Result) { visits[place] = insights.ReadVisit(result) })
	if drawn.info.Cut || len(ids) == maxJourneyTraces {
		// A session of which a part was read has given up nowhere: nothing is said of journeys.
		r.Journeys = nil
		return err
	}
	r.Journeys = append(r.Journeys, slices.DeleteFunc(visits, func(v insights.Visit) bool { return v.TraceID == "" })...)
	return err
}

const (
	// maxFinds is for how many insights without a sampled trace some are looked for, for minFindTime in all, or a quarter of the time for samples. Each
	// may take half of what is left.
	maxFinds    = 5
	minFindTime = 50 * time.Millisecond
)

// findTraces looks for traces that show what rollups alone have said.
func (r *insightReader) findTraces(ctx context.Context, found []insights.Insight, sampleTime time.Duration) error {
	finds, until := 0, time.Now().Add(max(minFindTime, sampleTime/4))
	for k := range found {
		i := &found[k]
		if len(i.TraceIDs) > 0 || i.Service == "" || finds == maxFinds {
			continue
		}
		finds++
		where := inEnvironment(r.window.Environment)
		where.And = append([]tracestore.Conditions{{Span: spanOf(i)}}, outlierOf(i)...)
		page, err := r.reader.Search(ctx, r.tenant, &tracestore.SearchQuery{
			Start: r.window.Start, End: r.window.End, Where: where, Limit: 3, Deadline: time.Now().Add(time.Until(until) / 2),
		})
		if err != nil {
			return err
		}
		for t := range page.Traces {
			id := page.Traces[t].TraceID
			i.TraceIDs = append(i.TraceIDs, hex.EncodeToString(id[:]))
		}
	}
	return nil
}

// spanOf is a span that shows the insight.
func spanOf(i *insights.Insight) tracestore.SpanConditions {
	span := tracestore.SpanConditions{Service: i.Service, Operation: i.Operation}
	if i.Version != "" {
		span.Attributes = []tracestore.AttributeCondition{
			{Scope: tracestore.ScopeResource, Key: "service.version", Op: tracestore.OpEqual, Text: i.Version},
		}
		if i.SavedFailures > 0 {
			span.Errors = new(true)
		}
	}
	if i.Kind == insights.KindOutlierAttribute {
		span.Attributes = []tracestore.AttributeCondition{
			{Scope: tracestore.ScopeAny, Key: i.Attribute.Key, Op: tracestore.OpEqual, Text: i.Attribute.Value},
		}
	}
	if i.Kind == insights.KindVersionRegression && i.SavedTime > 0 && len(i.Evidence) > 0 && i.Evidence[0].Unit == insights.UnitNS {
		span.MinDuration = time.Duration(i.Evidence[0].Now)
		span.Errors = nil
	}
	return span
}

// outlierOf is what else a trace has that shows an outlier: the entry, and that it failed or was slow.
func outlierOf(i *insights.Insight) []tracestore.Conditions {
	if i.Kind != insights.KindOutlierAttribute || len(i.Entries) == 0 {
		return nil
	}
	worst := tracestore.Conditions{Trace: tracestore.TraceConditions{Errors: tracestore.CountRange{Min: 1}}}
	if at := slices.IndexFunc(i.Evidence, func(f insights.Figure) bool { return f.Unit == insights.UnitNS }); at == 1 {
		worst = tracestore.Conditions{Trace: tracestore.TraceConditions{MinDuration: time.Duration(i.Evidence[at].Now)}}
	}
	worst.Trace.Entry = tracestore.Operation(i.Entries[0].Operation)
	return []tracestore.Conditions{worst}
}
