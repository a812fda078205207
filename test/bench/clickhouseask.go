package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/rollupmap"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Targets of questions. Ratios are to the exporter's schema.
const (
	maxByIDRatio   = 0.3
	maxSearchRatio = 0.5
	maxHour        = 300 // ms
)

// timings are how long questions took, ms.
type timings []float64

func (t *timings) add(one func() error) error {
	began := time.Now()
	err := one()
	*t = append(*t, float64(time.Since(began))/float64(time.Millisecond))
	return err
}

func (t timings) String() string {
	return fmt.Sprintf("p50 %.1f  p95 %.1f  most %.1f ms", percentile(t, 0.5), percentile(t, 0.95), percentile(t, 1))
}

// besides holds the 95th percentile of ours to that of stock.
func besides(name string, ours, stock timings, target float64) measure {
	return measure{
		name: fmt.Sprintf("%s, p95 of %d", name, len(ours)), figure: percentile(ours, 0.95) / percentile(stock, 0.95), target: target, digits: 2,
		unit: "of stock", note: fmt.Sprintf("ours %s; stock %s", ours, stock),
	}
}

// byID reads traces by their ids from both schemas in turns, and holds that they have the same spans.
func (b *clickHouseBench) byID(ctx context.Context) ([]measure, error) {
	var ours, theirs timings
	for i := range b.queries + warmUp {
		var id pcommon.TraceID
		if _, err := hex.Decode(id[:], []byte(b.loaded.IDs[i%len(b.loaded.IDs)])); err != nil {
			return nil, err
		}
		if i == warmUp {
			ours, theirs = nil, nil
		}
		var read, want int
		err := ours.add(func() error {
			for td, err := range b.store.Trace(ctx, "", id) {
				if err != nil {
					return err
				}
				read += td.SpanCount()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := theirs.add(func() (err error) { want, err = b.stock.Trace(ctx, id); return err }); err != nil {
			return nil, err
		}
		if read != want || want == 0 {
			return nil, fmt.Errorf("trace %s: ours has %d spans, stock %d", id, read, want)
		}
	}
	return []measure{besides("trace by id", ours, theirs, maxByIDRatio)}, nil
}

// warmUp is how many questions are asked before they count: caches of marks and of the system are what they are later. Searches are others then: the
// server remembers for a while which granules hold nothing of a condition that it was asked.
const warmUp = 10

// searchAll searches windows of several lengths.
func (b *clickHouseBench) searchAll(ctx context.Context) (made []measure, err error) {
	for _, window := range []struct {
		name  string
		width time.Duration
	}{{"the last hour", time.Hour}, {"the last day", 24 * time.Hour}, {fmt.Sprintf("all %d days", b.days), time.Duration(b.days) * 24 * time.Hour}} {
		m, err := b.searchWindow(ctx, "attribute search in "+window.name, window.width)
		if err != nil {
			return made, err
		}
		made = append(made, m)
	}
	return made, nil
}

// searchWindow asks both schemas for the newest traces with a span of a service and operation that has an attribute, in turns, and holds that they
// find as many.
func (b *clickHouseBench) searchWindow(ctx context.Context, name string, width time.Duration) (measure, error) {
	var ours, theirs timings
	found := 0
	for i, asked := range b.loaded.Searches {
		asked.Start, asked.End = b.loaded.End.Add(-width), b.loaded.End.Add(time.Hour)
		if i == warmUp {
			ours, theirs = nil, nil
		}
		query := &tracestore.SearchQuery{
			Start: asked.Start, End: asked.End, Limit: asked.Limit, Where: tracestore.Conditions{Span: tracestore.SpanConditions{
				Service: asked.Service, Operation: asked.Operation,
				Attributes: []tracestore.AttributeCondition{{Scope: tracestore.ScopeSpan, Key: asked.Key, Op: tracestore.OpEqual, Text: asked.Value}},
			}},
		}
		var page tracestore.SearchPage
		if err := ours.add(func() (err error) { page, err = b.store.Search(ctx, "", query); return err }); err != nil {
			return measure{}, err
		}
		var want int
		if err := theirs.add(func() (err error) { want, err = b.stock.Search(ctx, &asked); return err }); err != nil {
			return measure{}, err
		}
		if len(page.Traces) != want || page.Truncated {
			return measure{}, fmt.Errorf("%+v: ours finds %d traces, truncated %v, stock %d", asked, len(page.Traces), page.Truncated, want)
		}
		found += want
	}
	m := besides(name, ours, theirs, maxSearchRatio)
	m.note += fmt.Sprintf("; %.1f traces each", float64(found)/float64(len(b.loaded.Searches)))
	return m, nil
}

// hour asks for operations and the map of services of hours.
func (b *clickHouseBench) hour(ctx context.Context) (made []measure, err error) {
	rng := rand.New(rand.NewPCG(b.seed, 0x406))
	services := rollupmap.New(b.store)
	for _, question := range []struct {
		name string
		ask  func(start, end time.Time) (rows int, err error)
	}{
		{"operations", func(start, end time.Time) (rows int, err error) {
			for _, err := range b.store.Operations(ctx, "", &tracestore.AggregateQuery{Start: start, End: end}) {
				if err != nil {
					return rows, err
				}
				rows++
			}
			return rows, nil
		}},
		{"map of services", func(start, end time.Time) (int, error) {
			m, err := services.Map(ctx, "", &servicemap.Window{Start: start, End: end})
			if err != nil {
				return 0, err
			}
			return len(m.Edges), nil
		}},
	} {
		for _, which := range []string{"the last hour", "an hour"} {
			var took timings
			rows := 0
			for i := range b.hours + 1 {
				end := b.loaded.End
				if which == "an hour" {
					end = end.Add(-time.Duration(2+rng.IntN(max(1, b.days*24-4))) * time.Hour)
				}
				if i == 1 {
					took = nil
				}
				if err := took.add(func() (err error) { rows, err = question.ask(end.Add(-time.Hour), end); return err }); err != nil {
					return made, err
				}
			}
			made = append(made, measure{
				name: fmt.Sprintf("%s of %s, p95 of %d", question.name, which, len(took)), figure: percentile(took, 0.95), target: maxHour, digits: 1, unit: "ms",
				note: fmt.Sprintf("%s; %d rows at last", took, rows),
			})
		}
	}
	return made, nil
}
