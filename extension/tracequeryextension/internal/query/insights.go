package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/insights"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// InsightsQuery says which insights are wanted.
type InsightsQuery struct {
	// Window's Service is not used.
	Window tracestore.AggregateQuery
	// Now is until when there can have been calls.
	Now time.Time
	// Baseline is when the window begins that is compared with, which is as long; zero for the one just before.
	Baseline time.Time
	// Kind, Service and Entry (an operation by which requests enter) limit the answer, each where not empty. Of an entry only its own traces are sampled.
	Kind           insights.Kind
	Service, Entry string
	// Limit is the most insights to answer.
	Limit int
	// SampleTime is for how long whole traces are read, of both windows; at most half of the time for the query.
	SampleTime time.Duration
}

// Insights are what is worth a look in a window.
type Insights struct {
	// Insights are the most urgent first; More says that there are more.
	Insights []insights.Insight
	More     bool
	// Notes say what limits the answer, in plain words.
	Notes []string
	// Baseline is the window that is compared with, in whole minutes.
	Baseline tracestore.AggregateQuery
	// Sample and BaselineSample say what was read of the traces of both windows.
	Sample, BaselineSample             SampleInfo
	Completeness, BaselineCompleteness tracestore.Completeness
}

// Insights names what is worth a look. Rollups say most of it; some of it only whole traces do, of which as many are read as asked.SampleTime allows. Errors:
// tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Insights(ctx context.Context, tenant string, asked *InsightsQuery) (*Insights, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	found, err := s.readInsights(ctx, tenant, asked)
	if err != nil {
		return nil, fmt.Errorf("read the insights: %w", err)
	}
	return found, nil
}

// Until which share of the time each part may read whole traces: the window, whole sessions of it, the window before, whole sessions of that. What one
// leaves over the next ones have.
const (
	untilNow           = 0.4
	untilNowSessions   = 0.55
	untilBefore        = 0.85
	untilBeforeSession = 1
)

func (s *Service) readInsights(ctx context.Context, tenant string, asked *InsightsQuery) (*Insights, error) {
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	window, sampleTime := asked.Window, min(asked.SampleTime, s.Timeout/2)
	window.Service = ""
	answer := &Insights{Baseline: previous(window)}
	if !asked.Baseline.IsZero() {
		answer.Baseline.Start, answer.Baseline.End = asked.Baseline, asked.Baseline.Add(wholeMinutes(&window))
	}
	now, before, err := readWindows(ctx, reader, tenant, &window, &answer.Baseline, asked)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	until := func(share float64) time.Time { return began.Add(time.Duration(float64(sampleTime) * share)) }
	if answer.Sample, err = now.sample(ctx, asked.Entry, until(untilNow)); err != nil {
		return nil, err
	}
	if err = now.followSessions(ctx, until(untilNowSessions)); err != nil {
		return nil, err
	}
	if answer.BaselineSample, err = before.sample(ctx, asked.Entry, until(untilBefore)); err != nil {
		return nil, err
	}
	if err = before.followSessions(ctx, until(untilBeforeSession)); err != nil {
		return nil, err
	}
	answer.Completeness, answer.BaselineCompleteness = now.completeness, before.completeness
	all := insights.Find(&now.Window, &before.Window)
	all = slices.DeleteFunc(all, func(i insights.Insight) bool { return !asked.wants(&i, now.Parts) })
	answer.Insights = all[:min(len(all), asked.Limit)]
	answer.More = len(all) > asked.Limit
	answer.note(sampleTime)
	if err := now.findTraces(ctx, answer.Insights, sampleTime); err != nil {
		return nil, err
	}
	return answer, ctx.Err()
}

// readWindows reads what rollups know of both windows, and the loads of the first, at the same time.
func readWindows(
	ctx context.Context, reader tracestore.Reader, tenant string, window, baseline *tracestore.AggregateQuery, asked *InsightsQuery,
) (now, before insightReader, err error) {
	var (
		reading                 sync.WaitGroup
		loads                   []insights.Load
		ofNow, ofBefore, ofLoad error
	)
	reading.Go(func() { now, ofNow = readWindow(ctx, reader, tenant, window, asked.Entry) })
	reading.Go(func() { before, ofBefore = readWindow(ctx, reader, tenant, baseline, asked.Entry) })
	reading.Go(func() { loads, ofLoad = readLoads(ctx, reader, tenant, window, asked.Now) })
	reading.Wait()
	now.Loads = loads
	return now, before, cmp.Or(ofNow, ofBefore, ofLoad)
}

const (
	// fewSampled is how many traces say little of who is to blame.
	fewSampled = 200
	// muchPartial is which share of spans without a critical path, or a caller, is worth a word.
	muchPartial = 0.05
)

// note says what limits the answer.
func (a *Insights) note(sampleTime time.Duration) {
	add := func(format string, args ...any) { a.Notes = append(a.Notes, fmt.Sprintf(format, args...)) }
	if a.Sample.All == 0 {
		add("No requests were released in this window.")
		return
	}
	if a.BaselineSample.All == 0 {
		add("The baseline has no requests: nothing is known to have become worse. Name another baseline.")
	}
	read := a.Sample.Traces
	if a.BaselineSample.All > 0 && (a.BaselineSample.Traces < read || read == 0) {
		read = a.BaselineSample.Traces
	}
	if read < fewSampled && (a.Sample.Cut || a.BaselineSample.Cut) {
		baseline := ""
		if a.BaselineSample.All > 0 {
			baseline = fmt.Sprintf(", and %d of %d of the baseline,", a.BaselineSample.Traces, a.BaselineSample.All)
		}
		add("Only %d of %d traces%s were read in %s: suspects, retries and patterns may be missing. Ask with a longer sample_time.",
			a.Sample.Traces, a.Sample.All, baseline, sampleTime)
	}
	if c := a.Completeness; c.Spans > 0 && float64(c.Partial+c.Unrepaired) > muchPartial*float64(c.Spans) {
		add("%.0f %% of the spans came late, in parts, or without their caller: figures lack them in part, see completeness.",
			100*float64(c.Partial+c.Unrepaired)/float64(c.Spans))
	}
}

// wants says whether the insight is of the kind, service and entry that are asked for.
func (q *InsightsQuery) wants(i *insights.Insight, parts []insights.Part) bool {
	if q.Kind != "" && q.Kind != i.Kind {
		return false
	}
	if q.Service != "" && q.Service != i.Service && !slices.Contains(i.Others, q.Service) {
		return false
	}
	if q.Entry == "" || slices.ContainsFunc(i.Entries, func(e insights.Entry) bool { return e.Operation.Operation == q.Entry }) {
		return true
	}
	return slices.ContainsFunc(parts, func(p insights.Part) bool {
		return p.Entry.Operation == q.Entry && p.Operation.Service == i.Service && (i.Operation == "" || p.Operation.Operation == i.Operation)
	})
}
