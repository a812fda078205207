package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/rootcause"
	"github.com/tracewright/tracewright/internal/analysis/shoptest"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// scenario is a normal window, and one in which something goes wrong, or nothing.
type scenario struct {
	name string
	// seed decides the traffic of the incident; that of the normal window is another.
	seed   uint64
	faults []shop.Fault
	mix    map[string]int
	// normal and incident are numbers of visits.
	normal, incident int
}

// culprits are the services that faults were injected into.
func (s *scenario) culprits() []string {
	var names []string
	for _, f := range s.faults {
		names = append(names, f.Service)
	}
	return names
}

// Services by where they stand: leaves call no other service, those in the middle do and are called.
var (
	leaves = []string{
		"auth", "cart", "catalog", "currency", "fraud", "inventory", "media", "promotion", "reviews", "search", "shipping", "tax", "ads",
	}
	middle = []string{"storefront", "mobile-bff", "checkout", "payment", "pricing", "recommendation", "orders"}
	// callers call at least two services, so that what befalls their calls can be told from what befalls those that they call.
	callers = []string{"storefront", "mobile-bff", "checkout", "pricing"}
)

const (
	normalVisits   = 4000
	incidentVisits = 2000
	surge          = 3 // times the traffic
)

// scenarios are those of a seed: 20 with faults, of every kind and where they befall, and then those without one.
func scenarios(seed uint64) (faulty, healthy []scenario) {
	rng := rand.New(rand.NewPCG(seed, 0x5ca1ab1e))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	between := func(low, high float64) float64 { return low * math.Pow(high/low, rng.Float64()) }
	latency := func(from []string) shop.Fault {
		return shop.Fault{Service: pick(from), Kind: shop.FaultLatency, Value: between(2, 8)}
	}
	failing := func(from []string) shop.Fault {
		return shop.Fault{Service: pick(from), Kind: shop.FaultErrors, Value: between(0.1, 0.5)}
	}
	add := func(name string, faults ...shop.Fault) {
		faulty = append(faulty, scenario{
			name: name, seed: rng.Uint64(), faults: faults, normal: normalVisits, incident: incidentVisits,
		})
	}
	for range 4 {
		add("slow leaf", latency(leaves))
		add("slow middle", latency(middle))
		add("failing leaf", failing(leaves))
		add("failing middle", failing(middle))
	}
	two := latency(leaves)
	other := failing(slices.DeleteFunc(slices.Clone(middle), func(s string) bool { return s == two.Service }))
	add("two at once", two, other)
	one := pick(leaves)
	add("two at once",
		shop.Fault{Service: one, Kind: shop.FaultErrors, Value: between(0.1, 0.5)},
		latency(slices.DeleteFunc(slices.Clone(leaves), func(s string) bool { return s == one })))
	add("absorbed retries", shop.Fault{Service: pick(leaves), Kind: shop.FaultOverload, Value: between(0.1, 0.5)})
	add("absorbed retries", shop.Fault{Service: pick(callers), Kind: shop.FaultRetries, Value: between(0.1, 0.5)})

	healthy = []scenario{
		{name: "surge", mix: map[string]int{"POST /checkout": 6, "GET /products/{product_id}": 2}, normal: normalVisits, incident: surge * incidentVisits},
		{name: "surge under load", mix: map[string]int{"POST /cart/items": 4}, normal: normalVisits, incident: surge * incidentVisits},
		{name: "as ever", normal: normalVisits, incident: incidentVisits},
	}
	for i := range healthy {
		healthy[i].seed = rng.Uint64()
	}
	return faulty, healthy
}

// load is what a surge does to everybody: all work takes somewhat longer.
func (s *scenario) load() []shop.Fault {
	if s.name != "surge under load" {
		return nil
	}
	rng := rand.New(rand.NewPCG(s.seed, 1))
	var faults []shop.Fault
	for _, service := range shop.ServiceNames() {
		faults = append(faults, shop.Fault{Service: service, Kind: shop.FaultLatency, Value: 1.25 + 0.1*rng.Float64()})
	}
	return faults
}

// windows makes the traffic and reduces it to what the rankings read.
func (s *scenario) windows() (normal, incident *window, err error) {
	if normal, err = newWindow(shop.Options{Seed: s.seed ^ 0xb0a7}, s.normal); err != nil {
		return nil, nil, err
	}
	incident, err = newWindow(shop.Options{Seed: s.seed, Faults: append(s.load(), s.faults...), Mix: s.mix}, s.incident)
	return normal, incident, err
}

// window is what is known of one window.
type window struct {
	traces []rootcause.Trace
	// selfTime and errors are what the naive rankings go by: of all spans of a service.
	selfTime, errors map[string]int64
}

func newWindow(options shop.Options, visits int) (*window, error) {
	w := &window{selfTime: map[string]int64{}, errors: map[string]int64{}}
	err := shoptest.Traces(shop.New(options), 0, visits, nil, func(_ *shop.Visit, r *analysis.Result) {
		w.traces = append(w.traces, rootcause.Summarize(r))
		for i := range r.Spans {
			s := &r.Spans[i]
			w.selfTime[s.Service] += s.SelfTime
			if s.Failed {
				w.errors[s.Service]++
			}
		}
	})
	return w, err
}

// most ranks services by a number, the largest first.
func most(numbers map[string]int64) []string {
	names := make([]string, 0, len(numbers))
	for name, n := range numbers {
		if n > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if numbers[a] != numbers[b] {
			if numbers[a] > numbers[b] {
				return -1
			}
			return 1
		}
		if a < b {
			return -1
		}
		return 1
	})
	return names
}

func (s *scenario) String() string {
	text := s.name
	for _, f := range s.faults {
		switch f.Kind {
		case shop.FaultLatency:
			text += fmt.Sprintf("  %s:latency=x%.1f", f.Service, f.Value)
		default:
			text += fmt.Sprintf("  %s:%s=%.0f%%", f.Service, f.Kind, 100*f.Value)
		}
	}
	return text
}
