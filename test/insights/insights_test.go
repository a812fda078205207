package insights

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/test/playtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	visits = 300
	rate   = 15.0 // visits a second: both windows are shorter than a minute
)

// insight is what the API says.
type insight struct {
	Kind, Urgency, Service, Operation, Version, Title, Advice, Details string
	Confidence                                                         float64
	Requests                                                           int64
	SavingNS                                                           int64    `json:"saving_ns"`
	SavingFailures                                                     int64    `json:"saving_failures"`
	TraceIDs                                                           []string `json:"trace_ids"`
	Others                                                             []string
	Attribute                                                          attribute
}

type attribute struct{ Key, Value string }

type insightsAnswer struct{ Insights []insight }

func faults(t *testing.T, texts ...string) (list []shop.Fault) {
	t.Helper()
	for _, text := range texts {
		fault, err := shop.ParseFault(text)
		require.NoError(t, err)
		list = append(list, fault)
	}
	return list
}

// insightsOf asks for those of the window from..to minutes after midnight.
func insightsOf(t *testing.T, store tracestore.Backend, from, to time.Duration, more ...string) []insight {
	t.Helper()
	query := url.Values{
		"start": {playtest.Midnight.Add(from).Format(time.RFC3339)}, "end": {playtest.Midnight.Add(to).Format(time.RFC3339)}, "sample_time": {"10s"}, "limit": {"200"},
	}
	for i := 0; i < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	var answer insightsAnswer
	playtest.Ask(t, store, nil, "/traces/insights", query, &answer)
	for i := range answer.Insights {
		one := &answer.Insights[i]
		t.Logf("%s %s %.2f n=%d -%s -%d %s | %s", one.Urgency, one.Kind, one.Confidence, one.Requests, time.Duration(one.SavingNS), one.SavingFailures, one.Title, one.Details)
	}
	return answer.Insights
}

// told are those of a kind.
func told(all []insight, kind string) (found []insight) {
	for _, i := range all {
		if i.Kind == kind {
			found = append(found, i)
		}
	}
	return found
}

// Each fault is named first, for what it is, with the service that has it; without one nothing of that kind is said.
func TestFaults(t *testing.T) {
	normal := playtest.Play(t, 0, playtest.Traffic{Shop: shop.Options{Seed: 1, Journeys: true}, Rate: rate, Visits: visits})
	incident := func(t *testing.T, texts ...string) playtest.Traffic {
		return playtest.Traffic{Shop: shop.Options{Seed: 2, Journeys: true, Faults: faults(t, texts...)}, Rate: rate, Visits: visits}
	}
	t.Run("nothing is wrong", func(t *testing.T) {
		all := insightsOf(t, playtest.Stored(t, normal, playtest.Play(t, 2*time.Minute, incident(t))), 2*time.Minute, 4*time.Minute)
		for _, i := range all {
			require.Equal(t, "serial_calls", i.Kind, i.Title) // which the shop does make
			require.Equal(t, "improvement", i.Urgency, i.Title)
		}
	})
	for name, s := range map[string]struct {
		faults  []string
		change  func(td ptrace.Traces)
		kind    string
		service string
		visits  int // where those of the others are too few
		holds   func(t *testing.T, first *insight)
	}{
		"inventory fails": {
			faults: []string{"inventory:errors=30%"}, kind: "suspect", service: "inventory",
			holds: func(t *testing.T, first *insight) {
				// Requests call it once or a few times, each of which fails in 30 %; what fails there fails as a whole.
				require.InDelta(t, 0.37*float64(first.Requests), first.SavingFailures, 0.06*float64(first.Requests))
				require.Zero(t, first.SavingNS)
				require.Contains(t, first.Details, "/traces/errors?")
			},
		},
		"payment is slow": {
			faults: []string{"payment:latency=x5"}, kind: "suspect", service: "payment",
			holds: func(t *testing.T, first *insight) {
				// Its own work of 2.5 ms in the median, 3.2 ms in the mean, takes five times as long: 12.7 ms more.
				require.InDelta(t, 12.7e6, first.SavingNS, 3e6)
			},
		},
		"a version is slow": {
			faults: []string{"catalog@8.12.0:latency=x6"}, kind: "version_regression", service: "catalog", visits: 500,
			holds: func(t *testing.T, first *insight) { require.Equal(t, "8.12.0", first.Version) },
		},
		"payment is overloaded": {
			faults: []string{"payment:overload=60%"}, kind: "retry_storm", service: "payment",
			holds: func(t *testing.T, first *insight) {
				require.Equal(t, []string{"checkout"}, first.Others)
				// One and a half refusals and pauses of 40 ms in the median.
				require.InDelta(t, 75e6, first.SavingNS, 20e6)
			},
		},
		"storefront tries again": {
			faults: []string{"storefront:retries=40%"}, kind: "retry_storm", service: "storefront",
			holds: func(t *testing.T, first *insight) { require.Greater(t, len(first.Others), 5) },
		},
		"payment asks one by one": {
			change: oneByOne, kind: "n_plus_one", service: "payment",
			holds: func(t *testing.T, first *insight) {
				// Of 150 ms and more, in 15 calls, 14 could go.
				require.InDelta(t, 145e6, first.SavingNS, 25e6)
				require.Equal(t, "POST /charges", first.Operation)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			stretch := incident(t, s.faults...)
			stretch.Change, stretch.Visits = s.change, max(visits, s.visits)
			store := playtest.Stored(t, normal, playtest.Play(t, 2*time.Minute, stretch))
			all := insightsOf(t, store, 2*time.Minute, 4*time.Minute)
			require.NotEmpty(t, all)
			first := &all[0]
			require.Equal(t, s.kind, first.Kind, first.Title)
			require.Equal(t, "incident", first.Urgency)
			require.Equal(t, s.service, first.Service)
			require.NotEmpty(t, first.TraceIDs)
			require.NotEmpty(t, first.Advice)
			require.Greater(t, first.Confidence, 0.5)
			s.holds(t, first)
		})
	}
}

// What hides the truth is told, each for what it is, and makes nobody a suspect.
func TestWhatHides(t *testing.T) {
	normal := playtest.Play(t, 0, playtest.Traffic{Shop: shop.Options{Seed: 1}, Rate: rate, Visits: visits})
	changes := []func(td ptrace.Traces){without("tax"), laterOn("orders", 3*time.Second), namePaths}
	store := playtest.Stored(t, normal, playtest.Play(t, 2*time.Minute, playtest.Traffic{
		Shop: shop.Options{Seed: 2, Faults: faults(t, "inventory:context=30%")}, Rate: rate, Visits: visits,
		Change: func(td ptrace.Traces) {
			for _, change := range changes {
				change(td)
			}
		},
	}))
	all := insightsOf(t, store, 2*time.Minute, 4*time.Minute)
	for kind, want := range map[string]struct {
		service, title string
		others         []string
	}{
		"context_loss":            {"inventory", "begins traces of its own", []string{"checkout", "storefront"}},
		"missing_instrumentation": {"tax", "has stopped sending spans", []string{"checkout"}},
		"skewed_host":             {"", "about 3s ahead", nil},
		"cardinality":             {"storefront", "GET /pages/*", nil},
	} {
		found := told(all, kind)
		require.Len(t, found, 1, kind)
		require.Equal(t, "visibility", found[0].Urgency)
		require.Contains(t, found[0].Title, want.title)
		require.NotEmpty(t, found[0].TraceIDs)
		require.Greater(t, found[0].Confidence, 0.5)
		if want.service != "" {
			require.Equal(t, want.service, found[0].Service)
		}
		if want.others != nil {
			require.Equal(t, want.others, found[0].Others)
		}
	}
	for _, i := range all {
		require.NotEqual(t, "incident", i.Urgency, i.Title)
	}
}

// payment takes 400 visits a second at most, and gets 60 to 285, of which one in 240 is played: its limit is 1.67 calls a second.
func TestCapacity(t *testing.T) {
	const capacity, scale, minutes = 400, 240, 16
	var day []playtest.Traffic
	for i := range minutes {
		load := 60 + 15*float64(i)
		day = append(day, playtest.Traffic{
			Shop: shop.Options{
				Seed: uint64(100 + i), Load: load, Mix: map[string]int{"POST /checkout": 1000},
				Faults: []shop.Fault{{Service: "payment", Kind: shop.FaultCapacity, Value: capacity}},
			},
			Rate: load / scale, Visits: int(60 * load / scale),
		})
	}
	store := playtest.Stored(t, playtest.Play(t, 0, day...))
	var answer struct {
		Limits []struct {
			Service, Operation string
			Limit              float64 `json:"limit_per_second"`
			Low                float64 `json:"low_per_second"`
			High               float64 `json:"high_per_second"`
			Busiest            float64 `json:"busiest_per_second"`
		}
	}
	end := minutes * time.Minute
	playtest.Ask(t, store, nil, "/traces/performance", url.Values{"start": {playtest.Midnight.Format(time.RFC3339)}, "end": {playtest.Midnight.Add(end).Format(time.RFC3339)}}, &answer)
	require.Len(t, answer.Limits, 1)
	limit := answer.Limits[0]
	require.Equal(t, "payment", limit.Service)
	require.InDelta(t, float64(capacity)/scale, limit.Limit, 0.4)
	require.InDelta(t, 285.0/scale, limit.Busiest, 0.2)
	require.True(t, limit.Low < float64(capacity)/scale && float64(capacity)/scale < limit.High, "%+v", limit)

	found := told(insightsOf(t, store, 0, end), "capacity_limit")
	require.Len(t, found, 1)
	require.Equal(t, "payment", found[0].Service)
	require.NotEmpty(t, found[0].TraceIDs)
}

// Customers wait for a cart that is slow, on their way to the checkout.
func TestSlowerJourney(t *testing.T) {
	stretch := func(seed uint64, texts ...string) playtest.Traffic {
		return playtest.Traffic{Shop: shop.Options{Seed: seed, Journeys: true, Faults: faults(t, texts...)}, Rate: rate, Visits: 450}
	}
	store := playtest.Stored(t, playtest.Play(t, 0, stretch(1)), playtest.Play(t, 2*time.Minute, stretch(2, "cart:latency=x60")))
	all := insightsOf(t, store, 2*time.Minute, 4*time.Minute)
	require.Equal(t, "suspect", all[0].Kind) // the cause before what it does
	require.Equal(t, "cart", all[0].Service)
	found := told(all, "slower_journey")
	require.NotEmpty(t, found)
	require.Equal(t, "POST /cart/items", found[0].Operation)
	require.Equal(t, "incident", found[0].Urgency)
	// Its own work of 700 µs in the median, 60 times as long.
	require.InDelta(t, 42e6, found[0].SavingNS, 15e6)
	require.NotEmpty(t, found[0].TraceIDs)
	require.Contains(t, found[0].Details, "/traces/performance?")
}
