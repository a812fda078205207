package shop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocols of an endpoint, as the service map names them (messaging endpoints have their topic's system).
const (
	protocolHTTP = "http"
	protocolGRPC = "grpc"
)

// latency is a log-normal distribution.
type latency struct {
	median time.Duration
	sigma  float64
}

// endpoint is one operation that a service serves.
type endpoint struct {
	service  int
	protocol string
	// name is the name of the span that serves it.
	name string
	// method and route belong to HTTP.
	method, route string
	// topic is set where the endpoint consumes messages.
	topic *topic
	work  latency
	steps []step
}

type stepKind int

const (
	stepCall     stepKind = iota // a call of another service
	stepQuery                    // a query to a database
	stepFetch                    // a call of an external service
	stepPublish                  // a message to a topic
	stepWork                     // an INTERNAL span around more steps
	stepTogether                 // steps that run at the same time
)

// step is something that an endpoint does. It is done min to max times with the given chance.
type step struct {
	kind     stepKind
	chance   float64
	min, max int
	// optional steps absorb their failure: the endpoint goes on without them.
	optional bool

	endpoint *endpoint
	query    *query
	external *external
	topic    *topic
	function string // stepWork: code.function.name
	latency  latency
	steps    []step
}

// query is a statement to a database.
type query struct {
	store     *store
	operation string // db.operation.name
	target    string // db.collection.name; empty where there is none
	summary   string // db.query.summary, and the span's name
	text      string // db.query.text
	latency   latency
}

// menu is everything that the shop can do, with references resolved.
type menu struct {
	endpoints map[string]*endpoint
	topics    map[string]*topic
	entries   []entry
	total     int // sum of the entries' weights
}

type entry struct {
	endpoint *endpoint
	weight   int
}

func once(s step) step { s.chance, s.min, s.max = 1, 1, 1; return s }

func maybe(chance float64, s step) step { s.chance = chance; return s }

func times(from, to int, s step) step { s.min, s.max = from, to; return s }

func optional(s step) step { s.optional = true; return s }

func together(steps ...step) step { return once(step{kind: stepTogether, steps: steps}) }

func work(function string, median time.Duration, steps ...step) step {
	return once(step{kind: stepWork, function: function, latency: latency{median, 0.5}, steps: steps})
}

func (m *menu) call(name string) step { return once(step{kind: stepCall, endpoint: m.endpoint(name)}) }

func (m *menu) publish(name string) step { return once(step{kind: stepPublish, topic: m.topics[name]}) }

func fetch(host, method, template string, median time.Duration) step {
	return once(step{kind: stepFetch, external: &external{host, method, template, latency{median, 0.6}}})
}

// ask is a query to a database; text is what its driver records.
func ask(storeName, operation, target, text string, median time.Duration) step {
	return once(step{kind: stepQuery, query: &query{
		store: stores[storeName], operation: operation, target: target,
		summary: strings.TrimSpace(operation + " " + target), text: text, latency: latency{median, 0.7},
	}})
}

func (m *menu) endpoint(name string) *endpoint {
	e := m.endpoints[name]
	if e == nil {
		e = new(endpoint)
		m.endpoints[name] = e
	}
	return e
}

// http defines an endpoint "service METHOD /route".
func (m *menu) http(name string, median time.Duration, steps ...step) {
	part := strings.SplitN(name, " ", 3)
	e := m.endpoint(name)
	*e = endpoint{
		service: ServiceIndex(part[0]), protocol: protocolHTTP, name: part[1] + " " + part[2],
		method: part[1], route: part[2], work: latency{median, 0.6}, steps: steps,
	}
}

// grpc defines an endpoint "service.Method".
func (m *menu) grpc(name string, median time.Duration, steps ...step) {
	service, method, _ := strings.Cut(name, ".")
	e := m.endpoint(name)
	full := "shop." + service + ".v1." + strings.ToUpper(service[:1]) + service[1:] + "Service/" + method
	*e = endpoint{
		service: ServiceIndex(service), protocol: protocolGRPC, name: full, work: latency{median, 0.6}, steps: steps,
	}
}

// consume lets a service serve the messages of a topic.
func (m *menu) consume(service, topicName string, median time.Duration, steps ...step) {
	t := m.topics[topicName]
	t.consumers = append(t.consumers, &endpoint{
		service: ServiceIndex(service), protocol: t.system, name: "process " + t.name, topic: t,
		work: latency{median, 0.6}, steps: steps,
	})
}

func (m *menu) entry(weight int, name string) {
	m.entries = append(m.entries, entry{m.endpoint(name), weight})
	m.total += weight
}

// ParseMix reads entry:factor, as in POST /checkout:5.
func ParseMix(text string) (entry string, factor int, err error) {
	at := strings.LastIndexByte(text, ':')
	entry = text[:max(at, 0)]
	entries := newMenu().entries
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].endpoint.name
	}
	if !slices.Contains(names, entry) {
		return "", 0, fmt.Errorf("%q: no entry %q; there are %s", text, entry, strings.Join(names, ", "))
	}
	if factor, err = strconv.Atoi(text[at+1:]); err != nil || factor < 1 || factor > 1000 {
		return "", 0, fmt.Errorf("%q is no whole number from 1 to 1000", text[at+1:])
	}
	return entry, factor, nil
}

// mix multiplies how often entries are chosen.
func (m *menu) mix(factors map[string]int) {
	m.total = 0
	for i := range m.entries {
		e := &m.entries[i]
		if factor, ok := factors[e.endpoint.name]; ok {
			e.weight *= factor
		}
		m.total += e.weight
	}
}

// newMenu writes the shop down. Calls nest so that no trace is deeper than eight spans.
func newMenu() *menu {
	m := &menu{endpoints: map[string]*endpoint{}, topics: map[string]*topic{
		"orders.placed":       {name: "orders.placed", system: "kafka", host: "kafka.shop.internal", port: 9092},
		"payments.captured":   {name: "payments.captured", system: "kafka", host: "kafka.shop.internal", port: 9092},
		"stock.changed":       {name: "stock.changed", system: "kafka", host: "kafka.shop.internal", port: 9092},
		"clickstream":         {name: "clickstream", system: "kafka", host: "kafka.shop.internal", port: 9092},
		"notifications.email": {name: "notifications.email", system: "rabbitmq", host: "rabbitmq.shop.internal", port: 5672},
	}}
	m.browsing()
	m.buying()
	m.messages()
	m.pages()
	return m
}
