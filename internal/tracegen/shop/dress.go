package shop

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// dresser gives the spans of one visit their attributes, events and links. Ids, sizes, addresses and names are drawn
// anew, as in real traffic, because a store must not look better on generated spans than it is.
type dresser struct {
	shop  *Shop
	visit *Visit
	rng   *rand.Rand
	span  *wire.Span
	start int64 // of the visit

	user, session, agent, address  string
	requestID                      string
	product, order, cart, currency string
	term                           string
}

// Encode encodes the spans of a visit that begins at start, in order, and hands each to emit with its number and scope.
// The span is emit's until it returns.
func (s *Shop) Encode(v *Visit, start int64, emit func(i int, scope wire.Scope, span *wire.Span)) {
	d := &dresser{shop: s, visit: v, start: start, rng: s.random(v.Index, streamAttributes), span: new(wire.Span)}
	d.customer()
	if v.Journey >= 0 {
		d.session = s.SessionOf(v.Journey)
		d.user = user(s.random(v.Journey, streamCustomer))
	}
	for i := range v.Spans {
		d.dress(i)
		emit(i, d.scope(&v.Spans[i]), d.span)
	}
}

// customer draws what stays the same over a visit.
func (d *dresser) customer() {
	rng := d.rng
	d.user = user(rng)
	d.session = uuid(rng)
	d.requestID = uuid(rng)
	d.agent = agents[rng.IntN(len(agents))]
	d.agent = strings.Replace(d.agent, "#", strconv.Itoa(118+rng.IntN(26)), 1)
	d.agent = strings.Replace(d.agent, "#", strconv.Itoa(rng.IntN(7000)), 1)
	d.address = strconv.Itoa(11+rng.IntN(200)) + "." + strconv.Itoa(rng.IntN(256)) + "." + strconv.Itoa(rng.IntN(256)) +
		"." + strconv.Itoa(1+rng.IntN(254))
	d.product = d.sku()
	d.order = "ord_" + strings.ToUpper(strconv.FormatUint(rng.Uint64(), 36))
	d.cart = hexText(rng, 24)
	d.currency = currencies[rng.IntN(len(currencies))]
	d.term = terms[rng.IntN(len(terms))] + "+" + terms[rng.IntN(len(terms))]
}

// user is the id of one of 2,000,000 customers, some of whom come often.
func user(rng *rand.Rand) string {
	return "usr_" + strconv.FormatUint(mix(uint64(float64(2_000_000)*rng.Float64()*rng.Float64())), 36)
}

// sku is the number of one of 200,000 products, some far more wanted than others.
func (d *dresser) sku() string {
	f := d.rng.Float64()
	return "sku-" + strconv.FormatUint(mix(uint64(200_000*f*f*f))%90_000_000+10_000_000, 10)
}

// mix scatters small numbers over 40 bits.
func mix(n uint64) uint64 { return (n + 1) * 0x9e3779b97f4a7c15 >> 24 }

func (d *dresser) dress(i int) {
	s := &d.visit.Spans[i]
	header := wire.Header{
		TraceID: d.visit.Traces[s.Trace].ID, SpanID: s.ID, Name: s.Name, Kind: int(s.Kind), Start: d.start + s.Start, End: d.start + s.End,
		Flags: flagSampled | flagRemoteKnown,
	}
	if s.Parent >= 0 {
		header.ParentID = d.visit.Spans[s.Parent].ID
		if s.Kind == Server || s.Kind == Consumer {
			header.Flags |= flagRemote
		}
	}
	d.span.Begin(&header)
	switch {
	case s.Kind == Server && s.Protocol == protocolHTTP:
		d.httpServer(s)
	case s.Kind == Server:
		d.rpcServer(s)
	case s.Kind == Consumer:
		d.consumer(s)
	case s.Kind == Producer:
		d.producer(s)
	case s.Kind == Internal:
		d.internal(s)
	case s.done.query != nil:
		d.database(s)
	case s.done.external != nil:
		d.externalClient(s)
	case s.Protocol == protocolHTTP:
		d.httpClient(s)
	default:
		d.rpcClient(s)
	}
	if s.Failed {
		d.fail(i)
	}
	if s.Parent < 0 && d.visit.earlier != [16]byte{} {
		d.span.Link(d.visit.earlier, d.rng.Uint64()|1)
	}
}

// Bits of a span's flags: sampled; whether the parent is remote is known, and it is.
const (
	flagSampled     = 1
	flagRemoteKnown = 1 << 8
	flagRemote      = 1 << 9
)

// fail sets the status, the error's type and, where a failure began or was logged again on its way, the exception.
func (d *dresser) fail(i int) {
	s := &d.visit.Spans[i]
	f := d.failure(s)
	d.span.Text("error.type", f.kind)
	d.span.Fail(f.status)
	if f.exception == "" {
		return
	}
	at := d.start + s.End - int64(float64(s.End-s.Start)*0.1*d.rng.Float64())
	d.span.Event("exception", at, func() {
		d.span.Text("exception.type", f.exception)
		d.span.Text("exception.message", f.message)
		d.span.Text("exception.stacktrace", d.stacktrace(services[s.Service].Language, f))
	})
}

// scope is the library that made the span.
func (d *dresser) scope(s *Span) wire.Scope {
	language := services[s.Service].Language
	kind := "app"
	switch {
	case s.Kind == Producer || s.Kind == Consumer:
		kind = "messaging"
	case s.Protocol == protocolHTTP:
		kind = "http"
	case s.Protocol == protocolGRPC:
		kind = "grpc"
	case s.Kind == Client:
		kind = "database"
	}
	return scopes[language][kind]
}

var scopes = map[string]map[string]wire.Scope{
	"go": {
		"http":      {Name: "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", Version: "0.70.0"},
		"grpc":      {Name: "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", Version: "0.70.0"},
		"database":  {Name: "github.com/exaring/otelpgx", Version: "0.10.0"},
		"messaging": {Name: "github.com/twmb/franz-go/plugin/kotel", Version: "1.6.0"},
		"app":       {Name: "shop.internal/telemetry", Version: "1.4.0"},
	},
	"java": {
		"http":      {Name: "io.opentelemetry.tomcat-10.0", Version: "2.24.0-alpha"},
		"grpc":      {Name: "io.opentelemetry.grpc-1.6", Version: "2.24.0-alpha"},
		"database":  {Name: "io.opentelemetry.jdbc", Version: "2.24.0-alpha"},
		"messaging": {Name: "io.opentelemetry.kafka-clients-0.11", Version: "2.24.0-alpha"},
		"app":       {Name: "io.opentelemetry.opentelemetry-instrumentation-annotations-1.16", Version: "2.24.0-alpha"},
	},
	"nodejs": {
		"http":      {Name: "@opentelemetry/instrumentation-http", Version: "0.211.0"},
		"grpc":      {Name: "@opentelemetry/instrumentation-grpc", Version: "0.211.0"},
		"database":  {Name: "@opentelemetry/instrumentation-ioredis", Version: "0.59.0"},
		"messaging": {Name: "@opentelemetry/instrumentation-kafkajs", Version: "0.20.0"},
		"app":       {Name: "shop-storefront", Version: "4.18.0"},
	},
	"python": {
		"http":      {Name: "opentelemetry.instrumentation.fastapi", Version: "0.61b0"},
		"grpc":      {Name: "opentelemetry.instrumentation.grpc", Version: "0.61b0"},
		"database":  {Name: "opentelemetry.instrumentation.redis", Version: "0.61b0"},
		"messaging": {Name: "opentelemetry.instrumentation.pika", Version: "0.61b0"},
		"app":       {Name: "shop.telemetry", Version: "3.0.1"},
	},
	"dotnet": {
		"http":      {Name: "OpenTelemetry.Instrumentation.AspNetCore", Version: "1.15.0"},
		"grpc":      {Name: "OpenTelemetry.Instrumentation.GrpcNetClient", Version: "1.15.0-beta.1"},
		"database":  {Name: "OpenTelemetry.Instrumentation.StackExchangeRedis", Version: "1.15.0-beta.1"},
		"messaging": {Name: "Confluent.Kafka.Extensions.Diagnostics", Version: "0.5.0"},
		"app":       {Name: "Shop.Diagnostics", Version: "2.1.0"},
	},
}

// User agents; # stands for a number of a version.
var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/#.0.#.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/#.0.#.0 Safari/537.36",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/#.0.#.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.# Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (X11; Linux x86_64; rv:#.0) Gecko/20100101 Firefox/144.0",
	"ShopApp/5.# (iOS 18.6; build #)",
	"ShopApp/5.# (Android 15; build #)",
}

var (
	currencies = []string{"EUR", "EUR", "EUR", "CHF", "SEK", "PLN", "GBP", "USD"}
	terms      = []string{
		"running", "shoes", "trail", "jacket", "rain", "tent", "lamp", "wool", "socks", "bottle", "steel", "backpack",
		"kids", "winter", "gloves", "bike", "helmet", "map", "stove", "rope", "blue", "black", "xl", "sale", "light",
	}
)
