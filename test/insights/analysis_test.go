package insights

import (
	"cmp"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/test/playtest"
)

func minutes(from, to int) url.Values {
	at := func(minute int) []string {
		return []string{playtest.Midnight.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339)}
	}
	return url.Values{"start": at(from), "end": at(to)}
}

// Every failure that began in inventory is in some pattern, once; its way leads up to the proxy.
func TestErrors(t *testing.T) {
	failing := playtest.Traffic{Shop: shop.Options{Seed: 2, Faults: faults(t, "inventory:errors=30%")}, Rate: rate, Visits: 400}
	store := playtest.Stored(t, playtest.Play(t, 2*time.Minute, failing))
	began, befallen := int64(0), map[string]int64{}
	model := shop.New(failing.Shop)
	for i := range failing.Visits {
		v := model.Visit(i)
		below := make(map[int]bool) // spans above a failed one
		for k := range v.Spans {
			if v.Spans[k].Failed {
				below[v.Spans[k].Parent] = true
			}
		}
		for k := range v.Spans {
			if s := &v.Spans[k]; s.Failed && !below[k] && shop.Services()[s.Service].Name == "inventory" {
				began++
				befallen[v.Spans[0].Name]++
			}
		}
	}
	require.Greater(t, began, int64(40))
	var answer struct {
		Failures int64
		Patterns []struct {
			Service, Operation string
			Count              int64
			New                *bool
			TraceIDs           []string `json:"trace_ids"`
			Entries            []struct {
				Operation string
				Count     int64
			}
			Points  []struct{ Count int64 }
			Example *struct {
				Path         []struct{ Service, Operation string }
				ReachedEntry bool `json:"reached_entry"`
			}
		}
	}
	query := minutes(2, 4)
	query.Set("service", "inventory")
	playtest.Ask(t, store, nil, "/traces/errors", query, &answer)
	require.Equal(t, began, answer.Failures)
	sum, points, entries := int64(0), int64(0), map[string]int64{}
	for _, p := range answer.Patterns {
		require.Equal(t, "inventory", p.Service)
		require.Nil(t, p.New, "nobody knows what was before")
		require.NotEmpty(t, p.TraceIDs)
		sum += p.Count
		for _, e := range p.Entries {
			entries[e.Operation] += e.Count
		}
		for _, point := range p.Points {
			points += point.Count
		}
		require.NotNil(t, p.Example)
		require.Equal(t, "inventory", p.Example.Path[0].Service)
		require.Equal(t, "edge-proxy", p.Example.Path[len(p.Example.Path)-1].Service)
	}
	require.Equal(t, began, sum)
	require.Equal(t, began, points)
	require.Equal(t, befallen, entries)

	// The same failures by what they did: nobody who needs inventory does without.
	var did struct {
		Suffering []struct {
			Entry       struct{ Operation string }
			Failures    int64
			FailedShare float64 `json:"failed_share"`
			TracesRead  int64   `json:"traces_read"`
		}
	}
	playtest.Ask(t, store, nil, "/traces/dependencies", query, &did)
	require.Len(t, did.Suffering, len(befallen))
	for _, s := range did.Suffering {
		require.Equal(t, befallen[s.Entry.Operation], s.Failures, s.Entry.Operation)
		require.InDelta(t, 1, s.FailedShare, 0, s.Entry.Operation)
		require.Positive(t, s.TracesRead)
	}

	query.Set("start", playtest.Midnight.Add(3*time.Minute).Format(time.RFC3339))
	query.Set("end", playtest.Midnight.Add(5*time.Minute).Format(time.RFC3339))
	answer.Patterns = nil
	playtest.Ask(t, store, nil, "/traces/errors", query, &answer)
	for _, p := range answer.Patterns {
		require.NotNil(t, p.New)
	}
}

// Requests cost what the time is worth in which spans of the priced service work and their children do not, by the simulation itself.
func TestCost(t *testing.T) {
	const price, entry = 0.002, "POST /checkout"
	stretch := playtest.Traffic{Shop: shop.Options{Seed: 6, Mix: map[string]int{entry: 20}}, Rate: rate, Visits: 200}
	store := playtest.Stored(t, playtest.Play(t, 0, stretch))
	want, traces := 0.0, 0
	model := shop.New(stretch.Shop)
	for i := range stretch.Visits {
		if v := model.Visit(i); v.Spans[0].Name == entry {
			traces++
			want += float64(busy(v, "payment")) / 1e9 * price
		}
	}
	var answer struct {
		Entries []struct {
			Traces int
			Cost   struct {
				Currency string
				Total    float64
				PerTrace float64 `json:"per_trace"`
				Unpriced int64   `json:"unpriced_time_ns"`
			}
			Efficiency struct{ Parallelism float64 }
		}
	}
	query := minutes(0, 2)
	query.Set("operation", entry)
	playtest.Ask(t, store, map[string]any{
		"prices": map[string]any{"currency": "EUR", "busy_second": map[string]any{"payment": price}},
	}, "/traces/performance", query, &answer)
	require.Len(t, answer.Entries, 1)
	e := answer.Entries[0]
	require.Equal(t, traces, e.Traces)
	require.Equal(t, "EUR", e.Cost.Currency)
	require.InEpsilon(t, want, e.Cost.Total, 1e-9)
	require.InEpsilon(t, want/float64(traces), e.Cost.PerTrace, 1e-9)
	require.Positive(t, e.Cost.Unpriced)
	require.Greater(t, e.Efficiency.Parallelism, 1.0, "consumers work behind the requests")
}

// busy is for how long spans of a service run and none of their children does.
func busy(v *shop.Visit, service string) (sum int64) {
	for i := range v.Spans {
		span := &v.Spans[i]
		if shop.Services()[span.Service].Name != service {
			continue
		}
		var children []shop.Span
		for _, child := range v.Spans {
			if child.Parent == i && child.Kind != shop.Consumer {
				children = append(children, child)
			}
		}
		slices.SortFunc(children, func(a, b shop.Span) int { return cmp.Compare(a.Start, b.Start) })
		covered := span.Start
		for _, child := range children {
			sum += max(0, child.Start-covered)
			covered = max(covered, child.End)
		}
		sum += max(0, span.End-covered)
	}
	return sum
}
