package shop

import (
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
)

// Kind is a span's kind as OTLP numbers it.
type Kind uint8

// The kinds that the shop uses.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
	Producer Kind = 4
	Consumer Kind = 5
)

func (k Kind) String() string {
	return [...]string{"unspecified", "internal", "server", "client", "producer", "consumer"}[k]
}

// NodeKind says what stands at the other end of an edge, in the words of the service map.
type NodeKind string

// Kinds of nodes.
const (
	NodeService  NodeKind = "service"
	NodeDatabase NodeKind = "database"
	NodeQueue    NodeKind = "queue"
	NodeExternal NodeKind = "external"
)

// Span is one span of a visit. Times are nanoseconds from the visit's start.
type Span struct {
	ID       uint64
	Trace    int // index into the visit's Traces
	Parent   int // index into the visit's Spans, before the span's own; -1 for a root
	Service  int // index into Services
	Instance int // of the service
	Name     string
	Kind     Kind
	Protocol string // http, grpc, or the database's or broker's system; empty for INTERNAL spans
	Start    int64
	End      int64
	// Failed spans have the status ERROR.
	Failed bool

	// served is the endpoint of a SERVER or CONSUMER span, or the one that a CLIENT span calls.
	served *endpoint
	// done is the step behind a CLIENT, PRODUCER or INTERNAL span.
	done *step
	// origin says that the failure began here.
	origin bool
	// answered says, on a CLIENT span, that the failure began in the service that it called.
	answered bool
	// overloaded is a failure by the fault "retries": the service was overloaded.
	overloaded bool
	// attempt counts the tries of one call from 0.
	attempt int
}

// Target is what a CLIENT or PRODUCER span talks to, as a reader names it where no span of the other side is there: a
// service of the shop, or a database, queue or external service.
func (s *Span) Target() (name string, kind NodeKind) {
	switch {
	case s.served != nil && (s.Kind == Client):
		return services[s.served.service].Name, NodeService
	case s.done == nil:
		return "", ""
	case s.done.query != nil:
		return s.done.query.store.name(), NodeDatabase
	case s.done.topic != nil:
		return s.done.topic.name, NodeQueue
	case s.done.external != nil:
		return s.done.external.host + ":443", NodeExternal
	}
	return "", ""
}

// Trace is one trace of a visit. There is one, and one more for each call that lost its context by a fault.
type Trace struct {
	ID [16]byte
	// Root is the index of its only root in the visit's Spans.
	Root int
	// Spans and Errors count its spans and those that failed.
	Spans, Errors int
	// Start and End are its first start and its last end, nanoseconds from the visit's start.
	Start, End int64
}

// Visit is what one user's request sets off.
type Visit struct {
	Index  int
	Traces []Trace
	// Spans stand in the order in which they began in the simulation: parents before children.
	Spans []Span
	// End is the last end of a span, nanoseconds from the visit's start.
	End int64
	// Tenant is the number of the tenant, below Options.Tenants.
	Tenant int

	// Journey and Step say which step of which journey the visit is, both from 0 on; Journey is -1 where it is none.
	Journey, Step int

	// earlier is the trace that the root links to; zero for most.
	earlier [16]byte
}

// Options decide what the shop does.
type Options struct {
	Seed uint64
	// Tenants is the number of tenants; 0 for a shop without.
	Tenants int
	Faults  []Fault
	// ConsumerDelay is how much longer than the broker needs a message waits for its consumer; zero for not at all.
	ConsumerDelay Delays
	// Load is how many visits a second come, for FaultCapacity.
	Load float64
	// Mix multiplies how often an entry is chosen, by its name ("POST /checkout"); 1 where it says nothing, at least 1.
	Mix map[string]int
	// Journeys makes visits steps of journeys (JourneySteps) where luck has it.
	Journeys bool
}

// Shop makes visits. It is immutable and safe for concurrent use.
type Shop struct {
	options   Options
	menu      *menu
	instances []instance
	first     []int              // of each service, the index of its first instance in instances
	faults    [][]instanceFaults // by service and instance
}

// New makes a shop.
func New(options Options) *Shop {
	s := &Shop{options: options, menu: newMenu()}
	s.menu.mix(options.Mix)
	s.makeFaults()
	s.makeInstances()
	return s
}

const (
	// Spans of a visit, and how many visits fail, in a shop without faults.
	minSpans, maxSpans = 8, 60
	failing            = 0.03
	// attempts bounds the search for a visit within those numbers; a few are enough.
	attempts = 1000
)

// Streams of random numbers of one visit, so that one does not depend on how much another takes.
const (
	streamLuck = iota
	streamIDs
	streamAttributes
	streamSimulation // and above, one for each attempt

	streamJourney  = -1
	streamCustomer = -2 // of a journey
)

func (s *Shop) random(index, stream int) *rand.Rand {
	return rand.New(rand.NewPCG(s.options.Seed*0x9e3779b97f4a7c15+uint64(index), uint64(stream)*0xd1342543de82ef95+s.options.Seed))
}

// Visit makes the visit with the given number. The same number of a shop with the same options is the same visit.
func (s *Shop) Visit(index int) *Visit {
	luck := s.random(index, streamLuck)
	v := &Visit{Index: index, Journey: -1}
	fails := luck.Float64() < failing
	if s.options.Tenants > 0 {
		v.Tenant = luck.IntN(s.options.Tenants)
	}
	if index > 0 && luck.Float64() < 0.02 {
		v.earlier = s.traceID(index - 1)
	}
	entry := s.pickEntry(luck)
	if s.options.Journeys {
		if step := s.journeyStep(index); step >= 0 {
			v.Journey, v.Step = index/len(JourneySteps), step
			if s.options.Tenants > 0 {
				v.Tenant = s.tenantOf(v.Journey)
			}
			entry = s.menu.endpoint("edge-proxy " + JourneySteps[step])
		}
	}
	for attempt := range attempts {
		s.simulate(v, entry, fails, attempt)
		// With faults a visit may be shorter (what fails goes no further) or longer (retries).
		if len(s.options.Faults) > 0 || len(v.Spans) >= minSpans && len(v.Spans) <= maxSpans {
			break
		}
	}
	s.nameIDs(v)
	v.sum()
	return v
}

func (s *Shop) pickEntry(rng *rand.Rand) *endpoint {
	n := rng.IntN(s.menu.total)
	for _, e := range s.menu.entries {
		if n -= e.weight; n < 0 {
			return e.endpoint
		}
	}
	return s.menu.entries[0].endpoint
}

// simulate runs the visit; one that fails is run twice: once to count the places at which it could, then, with the same
// random numbers, to fail at one of them.
func (s *Shop) simulate(v *Visit, entry *endpoint, fails bool, attempt int) {
	run := func(failAt int) *simulation {
		sim := &simulation{shop: s, visit: v, rng: s.random(v.Index, streamSimulation+attempt), failAt: failAt}
		v.Traces = append(v.Traces[:0], Trace{})
		v.Spans = v.Spans[:0]
		sim.serve(entry, -1, 0, 0)
		return sim
	}
	sim := run(-1)
	if fails {
		run(sim.rng.IntN(sim.sites))
	}
}

func (s *Shop) traceID(index int) (id [16]byte) {
	rng := s.random(index, streamIDs)
	putID(id[:], rng)
	return id
}

// putID fills id with random bytes, never all zero.
func putID(id []byte, rng *rand.Rand) {
	for i := range id {
		if i%8 == 0 {
			word := rng.Uint64() | 1<<56 // the first byte is odd
			for j := i; j < min(i+8, len(id)); j++ {
				id[j] = byte(word >> (56 - 8*(j-i)))
			}
		}
	}
}

func (s *Shop) nameIDs(v *Visit) {
	rng := s.random(v.Index, streamIDs)
	for i := range v.Traces {
		putID(v.Traces[i].ID[:], rng)
	}
	for i := range v.Spans {
		v.Spans[i].ID = rng.Uint64() | 1<<56
	}
}

func (v *Visit) sum() {
	for i := range v.Traces {
		v.Traces[i].Root = -1
	}
	for i := range v.Spans {
		span := &v.Spans[i]
		trace := &v.Traces[span.Trace]
		if trace.Root < 0 {
			*trace = Trace{ID: trace.ID, Root: i, Start: span.Start, End: span.End}
		}
		trace.Spans++
		if span.Failed {
			trace.Errors++
		}
		trace.Start, trace.End = min(trace.Start, span.Start), max(trace.End, span.End)
		v.End = max(v.End, span.End)
	}
}

// name is what a reader calls the database: its system and namespace, else its address.
func (s *store) name() string {
	if s.namespace != "" {
		return s.system + ":" + s.namespace
	}
	return net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

// sample draws from the distribution.
func (l latency) sample(rng *rand.Rand) int64 {
	return max(1000, int64(float64(l.median)*math.Exp(rng.NormFloat64()*l.sigma)))
}

// ServiceNames lists the names of the services, sorted.
func ServiceNames() []string {
	names := make([]string, len(services))
	for i := range services {
		names[i] = services[i].Name
	}
	slices.Sort(names)
	return names
}
