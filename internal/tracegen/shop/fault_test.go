package shop

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"inventory:errors=20%":   {"inventory", "", FaultErrors, 0.2},
		"inventory:errors=0.2":   {"inventory", "", FaultErrors, 0.2},
		"payment:latency=x5":     {"payment", "", FaultLatency, 5},
		"payment:latency=1.5":    {"payment", "", FaultLatency, 1.5},
		"inventory:context=12%":  {"inventory", "", FaultContext, 0.12},
		"checkout:retries":       {"checkout", "", FaultRetries, 0.3},
		"checkout:retries=100%":  {"checkout", "", FaultRetries, 1},
		"edge-proxy:errors=0%":   {"edge-proxy", "", FaultErrors, 0},
		"orders:errors=100.000%": {"orders", "", FaultErrors, 1},
		"payment:overload":       {"payment", "", FaultOverload, 0.3},
		"payment:overload=10%":   {"payment", "", FaultOverload, 0.1},
		"payment:capacity=400":   {"payment", "", FaultCapacity, 400},

		"catalog@8.12.0:latency=x3": {"catalog", "8.12.0", FaultLatency, 3},
	} {
		got, err := ParseFault(text)
		require.NoError(t, err, text)
		require.Equal(t, want.Service, got.Service)
		require.Equal(t, want.Version, got.Version)
		require.Equal(t, want.Kind, got.Kind)
		require.InDelta(t, want.Value, got.Value, 1e-9)
	}
	for text, want := range map[string]string{
		"":                       "no service",
		"nobody:errors=1%":       "there are account, ads, auth",
		"payment":                "must be errors=20%",
		"payment:fire":           "must be errors=20%",
		"payment:errors":         "is no share",
		"payment:errors=101%":    "is no share",
		"payment:errors=-1":      "is no share",
		"payment:errors=NaN":     "is no share",
		"payment:latency=x0":     "is no factor",
		"payment:latency=NaN":    "is no factor",
		"checkout:retries=often": "is no share",
		"payment:overload=x":     "is no share",
		"payment:capacity=0":     "is no number of traces",
		"payment:capacity=NaN":   "is no number of traces",

		"catalog@9:latency=x3":   "it has 8.11.1, 8.12.0",
		"catalog@8.12.0:retries": "only errors and latency",
		"catalog@:errors=1%":     "has no version",
	} {
		_, err := ParseFault(text)
		require.ErrorContains(t, err, want, text)
	}
}

// calls counts the SERVER and CONSUMER spans of a service over some visits: all, those that failed there, and roots.
func calls(t *testing.T, visits int, service string, faults ...string) (all, failed, roots int, work float64) {
	t.Helper()
	options := Options{Seed: 5}
	for _, text := range faults {
		fault, err := ParseFault(text)
		require.NoError(t, err)
		options.Faults = append(options.Faults, fault)
	}
	s := New(options)
	for i := range visits {
		v := s.Visit(i)
		spansOf := 0
		for k := range v.Traces {
			spansOf += v.Traces[k].Spans
		}
		require.Equal(t, len(v.Spans), spansOf)
		children := make([]int64, len(v.Spans))
		for k := range v.Spans {
			span := &v.Spans[k]
			if span.Parent >= 0 {
				require.Equal(t, v.Spans[span.Parent].Trace, span.Trace)
				if span.Kind != Consumer {
					children[span.Parent] += span.End - span.Start
				}
			}
		}
		for k := range v.Spans {
			span := &v.Spans[k]
			if services[span.Service].Name != service || span.Kind != Server && span.Kind != Consumer {
				continue
			}
			all++
			work += float64(span.End - span.Start - children[k])
			if span.origin {
				failed++
			}
			if span.Parent < 0 {
				roots++
				require.Equal(t, k, v.Traces[span.Trace].Root)
			}
		}
	}
	return all, failed, roots, work / float64(all)
}

func TestFaultErrors(t *testing.T) {
	all, failed, _, _ := calls(t, 4000, "inventory", "inventory:errors=20%")
	require.InDelta(t, 0.2, float64(failed)/float64(all), 0.02)
}

func TestFaultLatency(t *testing.T) {
	_, _, _, before := calls(t, 4000, "payment")
	_, _, _, after := calls(t, 4000, "payment", "payment:latency=x5")
	require.InDelta(t, 5, after/before, 1)
}

func TestFaultContext(t *testing.T) {
	all, _, roots, _ := calls(t, 4000, "inventory", "inventory:context=12%")
	require.InDelta(t, 0.12, float64(roots)/float64(all), 0.02)
}

// 30 % of the calls are refused once or twice: 0.3 * 1.5 refusals for each call that is carried out.
func TestFaultRetries(t *testing.T) {
	all, failed, _, _ := calls(t, 4000, "payment", "checkout:retries")
	require.InDelta(t, 0.45, float64(failed)/float64(all-failed), 0.12)
}

func TestFaultOverload(t *testing.T) {
	all, failed, _, _ := calls(t, 2500, "payment", "payment:overload")
	require.InDelta(t, 0.45, float64(failed)/float64(all-failed), 0.12)
	_, elsewhere, _, _ := calls(t, 1000, "cart", "payment:overload")
	_, usual, _, _ := calls(t, 1000, "cart")
	require.InDelta(t, usual, elsewhere, 25, "nobody else is overloaded")
}

// At three quarters of what a service takes its own work lasts four times as long.
func TestFaultCapacity(t *testing.T) {
	work := func(load float64) float64 {
		s := New(Options{Seed: 5, Load: load, Faults: []Fault{{Service: "payment", Kind: FaultCapacity, Value: 400}}})
		return s.faults[ServiceIndex("payment")][1].slowness()
	}
	require.InDelta(t, 1, work(0), 1e-9)
	require.InDelta(t, 4, work(300), 1e-9)
	require.InDelta(t, 50, work(4000), 1e-9)
}

// A quarter of catalog runs the newer version.
func TestFaultOfOneVersion(t *testing.T) {
	all, failed, _, _ := calls(t, 2000, "catalog", "catalog@8.12.0:errors=40%")
	require.InDelta(t, 0.1, float64(failed)/float64(all), 0.02)
}

func TestMix(t *testing.T) {
	entry, factor, err := ParseMix("GET /products/{product_id}:3")
	require.NoError(t, err)
	require.Equal(t, "GET /products/{product_id}", entry)
	require.Equal(t, 3, factor)
	for _, text := range []string{"", "POST /checkout", "GET /nowhere:3", "POST /checkout:0", "POST /checkout:1001", "POST /checkout:x"} {
		_, _, err := ParseMix(text)
		require.Error(t, err, text)
	}
	orders := func(mix map[string]int) (n int) {
		s := New(Options{Seed: 3, Mix: mix})
		for i := range 1000 {
			if s.Visit(i).Spans[0].Name == "POST /checkout" {
				n++
			}
		}
		return n
	}
	require.InDelta(t, 1000*9.0/108, orders(nil), 30)
	require.InDelta(t, 1000*90.0/189, orders(map[string]int{"POST /checkout": 10}), 55)
}

// Of a hundred customers 70 put something into their cart, and 42 buy it.
func TestJourneys(t *testing.T) {
	s := New(Options{Seed: 8, Journeys: true})
	var steps [3]int
	for i := range 3 * 800 {
		v := s.Visit(i)
		if v.Journey < 0 {
			continue
		}
		require.Equal(t, i/3, v.Journey)
		require.Equal(t, JourneySteps[v.Step], v.Spans[0].Name)
		steps[v.Step]++
	}
	require.Equal(t, 800, steps[0])
	require.InDelta(t, 560, steps[1], 45)
	require.InDelta(t, 336, steps[2], 45)
	require.NotEqual(t, s.SessionOf(1), s.SessionOf(2))
}

func TestVisitsDependOnTheSeedAlone(t *testing.T) {
	a, b, other := New(Options{Seed: 11}), New(Options{Seed: 11}), New(Options{Seed: 12})
	b.Visit(500) // the order of the calls does not matter
	for i := range 50 {
		want := encodeVisit(a, a.Visit(i))
		require.Equal(t, want, encodeVisit(b, b.Visit(i)))
		require.NotEqual(t, want, encodeVisit(other, other.Visit(i)))
	}
}

func TestTenants(t *testing.T) {
	s := New(Options{Seed: 1, Tenants: 3})
	var seen [3]int
	for i := range 300 {
		seen[s.Visit(i).Tenant]++
	}
	for _, n := range seen {
		require.InDelta(t, 100, n, 40)
	}
}

// Every name that the menu uses is defined: an endpoint that is only called would have no span name.
func TestMenuIsWhole(t *testing.T) {
	m := newMenu()
	for name, e := range m.endpoints {
		require.NotEmpty(t, e.name, name)
		require.GreaterOrEqual(t, e.service, 0, name)
		checkSteps(t, name, e.steps)
	}
	for _, topic := range m.topics {
		for _, e := range topic.consumers {
			require.GreaterOrEqual(t, e.service, 0, topic.name)
			checkSteps(t, topic.name, e.steps)
		}
	}
}

func checkSteps(t *testing.T, name string, steps []step) {
	t.Helper()
	for _, st := range steps {
		switch st.kind {
		case stepCall:
			require.NotNil(t, st.endpoint, name)
		case stepQuery:
			require.NotNil(t, st.query.store, "%s: %s", name, st.query.text)
		case stepPublish:
			require.NotNil(t, st.topic, name)
		}
		checkSteps(t, name, st.steps)
	}
}

// A journey is one customer's, of one tenant.
func TestJourneysHaveOneCustomer(t *testing.T) {
	s := New(Options{Seed: 8, Journeys: true, Tenants: 3})
	users, tenants := map[int]string{}, map[int]int{}
	compared := 0
	for i := range 600 {
		v := s.Visit(i)
		if v.Journey < 0 {
			continue
		}
		user := ""
		s.Encode(v, 0, func(i int, scope wire.Scope, span *wire.Span) {
			batch := wire.NewBatch(s.Resource(s.Instance(&v.Spans[i])), SchemaURL)
			batch.Add(scope, span)
			traces, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(batch.Payload().Bytes())
			require.NoError(t, err)
			if id, ok := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get("user.id"); ok {
				user = id.Str()
			}
		})
		if v.Step > 0 {
			require.Equal(t, tenants[v.Journey], v.Tenant)
		}
		tenants[v.Journey] = v.Tenant
		if user != "" { // some visits end before anybody names it
			if known := users[v.Journey]; known != "" {
				compared++
				require.Equal(t, known, user)
			}
			users[v.Journey] = user
		}
	}
	require.Positive(t, compared)
}
