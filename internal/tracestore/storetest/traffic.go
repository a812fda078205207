package storetest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// traffic makes calls and queries at random, out of few words, so that they meet. Traces come in several releases, out of order,
// with spans repeated and spans in conflict, parents missing, cycles, broken clocks and values.
type traffic struct {
	*rand.Rand
	versions map[byte]int
	outcomes []string
	released time.Time // of the last call; it moves on to now
	still    bool      // it stands at now
}

// trafficTraces is how many traces there are. Every fifth is of the tenant "tenant".
const trafficTraces = 40

func newTraffic(seed uint64) *traffic {
	return &traffic{
		Rand: rand.New(rand.NewPCG(seed, 0)), versions: make(map[byte]int),
		outcomes: []string{conventions.OutcomeComplete, conventions.OutcomeQuiet, conventions.OutcomeLate, ""},
		released: now.Add(-48 * time.Hour),
	}
}

func trafficTenant(trace byte) string {
	if trace%5 == 0 {
		return "tenant"
	}
	return ""
}

func (r *traffic) oneIn(n int) bool { return r.IntN(n) == 0 }

// call is a call of up to four releases, each of a trace of its own.
func (r *traffic) call() ptrace.Traces {
	var spans []span
	for _, trace := range r.Perm(trafficTraces)[:1+r.IntN(4)] {
		spans = append(spans, r.release(byte(trace))...)
	}
	if r.oneIn(4) {
		r.released = r.released.Add(time.Duration(r.IntN(12)) * time.Hour)
	}
	if r.still || r.released.After(now) {
		r.released = now
	}
	td := callAt(r.released, spans...)
	if r.oneIn(5) {
		return td // nobody has analysed it
	}
	return explained(td)
}

func (r *traffic) release(trace byte) []span {
	var spans []span
	seen := make(map[string]bool)
	for range 1 + r.IntN(5) {
		s := r.span(trace)
		// What one release repeats, assembly has dropped.
		if key := fmt.Sprint(s.id, tracetree.KnownKind(s.kind), s.from, s.to); !seen[key] {
			seen[key] = true
			spans = append(spans, s)
		}
	}
	r.versions[trace]++
	if version := r.versions[trace] - r.IntN(2); version > 0 { // some come out of order
		spans[0].version, spans[0].outcome = version, pick(r.Rand, r.outcomes)
		if r.oneIn(4) {
			spans[0].part = r.IntN(3)
		}
	}
	return spans
}

func (r *traffic) span(trace byte) span {
	from := time.Duration(trace)*time.Minute + time.Duration(r.IntN(6))*10*time.Millisecond
	s := span{
		trace: trace, id: byte(1 + r.IntN(8)), parent: byte(r.IntN(9)), tenant: trafficTenant(trace), service: pick(r.Rand, services),
		name: pick(r.Rand, names), kind: ptrace.SpanKind(r.IntN(6)), failed: r.oneIn(4),
		from: from, to: from + time.Duration(r.IntN(4))*10*time.Millisecond,
		attributes: map[string]any{}, resource: map[string]any{},
	}
	switch r.IntN(20) {
	case 0:
		s.kind = 77
	case 1:
		s.from, s.to = s.to, s.from // backwards, or nothing
	case 2:
		s.from = -60 * 365 * 24 * time.Hour // before 1970, which no timestamp holds
	case 3:
		s.service = ""
	case 4:
		s.service = "s\xff" // no text
	}
	for range r.IntN(4) {
		s.attributes[pick(r.Rand, attributeNames)] = pick(r.Rand, attributeTexts)
	}
	if r.oneIn(2) {
		s.resource[pick(r.Rand, attributeNames)] = pick(r.Rand, attributeTexts)
	}
	return s
}

var (
	attributeNames = []string{"user", "level", "http.method", "", "key\xff"}
	attributeTexts = []any{"ann", "bob", "", "7", "7.5", int64(7), 7.5, int64(-1), true, nil, "\xfe", []any{"ann", int64(7)}, []byte{7}}
)

// query is a question that some traces answer, mostly.
func (r *traffic) query() *tracestore.SearchQuery {
	query := &tracestore.SearchQuery{
		Start: now.Add(-retention), End: now.Add(retention), Where: r.conditions(3), Limit: 4 + r.IntN(30),
		Order: pick(r.Rand, []tracestore.Order{tracestore.OrderRecency, tracestore.OrderRecency, tracestore.OrderDuration, tracestore.OrderErrors}),
	}
	if r.oneIn(3) {
		query.Start = start.Add(time.Duration(r.IntN(trafficTraces)) * time.Minute)
		query.End = query.Start.Add(time.Duration(r.IntN(20*60)) * time.Second)
	}
	return query
}

// conditions are of at most so many levels.
func (r *traffic) conditions(levels int) (c conditions) {
	for range 1 + r.IntN(2) {
		switch kind := r.IntN(8); {
		case kind <= 2:
			c.Span = r.onSpan(2)
		case kind == 3:
			c.Trace = r.onTrace()
		case kind == 4:
			c.Structure = append(c.Structure, structure{
				Above: r.onSpan(1), Relation: pick(r.Rand, []tracestore.Relation{tracestore.RelationChild, tracestore.RelationDescendant}), Below: r.onSpan(1),
			})
		case levels == 0:
		case kind == 5:
			c.Not = pointer(r.conditions(levels - 1))
		default:
			for range 1 + r.IntN(3) {
				branch := r.conditions(levels - 1)
				if kind == 6 {
					c.And = append(c.And, branch)
				} else {
					c.Or = append(c.Or, branch)
				}
			}
		}
	}
	return c
}

func (r *traffic) onSpan(levels int) (c onSpan) {
	for range 1 + r.IntN(2) {
		switch kind := r.IntN(11); {
		case kind == 0:
			c.Service = pick(r.Rand, append(services, "s\xff", conventions.UnknownService))
		case kind == 1:
			c.Operation = pick(r.Rand, names)
		case kind == 2:
			c.Kind = pointer(pick(r.Rand, []ptrace.SpanKind{0, 2, 3, 77}))
		case kind == 3:
			c.Category = pick(r.Rand, conventions.Categories)
		case kind == 4:
			c.MinDuration = time.Duration(r.IntN(4)) * 10 * time.Millisecond
		case kind == 5:
			c.MaxDuration = time.Duration(1+r.IntN(3)) * 10 * time.Millisecond
		case kind == 6:
			c.Errors = pointer(r.oneIn(2))
		case kind <= 8:
			c.Attributes = append(c.Attributes, r.attribute())
		case levels == 0:
		case kind == 9:
			c.Not = pointer(r.onSpan(levels - 1))
		default:
			for range 1 + r.IntN(2) {
				c.And, c.Or = append(c.And, r.onSpan(levels-1)), append(c.Or, r.onSpan(levels-1))
			}
		}
	}
	return c
}

func (r *traffic) attribute() attribute {
	c := attribute{
		Scope: tracestore.AttributeScope(r.IntN(3)), Key: pick(r.Rand, attributeNames), Op: pick(r.Rand, tracestore.Operators),
		Number: pick(r.Rand, []float64{-1, 0, 7, 7.5}), Regex: regexp.MustCompile(pick(r.Rand, []string{"^a", "7", "", "^.$"})),
	}
	switch text := pick(r.Rand, attributeTexts).(type) {
	case string:
		c.Text = text
	case nil:
	default:
		c.Text = fmt.Sprint(text)
	}
	return c
}

func (r *traffic) onTrace() (c onTrace) {
	switch r.IntN(7) {
	case 0:
		c.Entry.Service = pick(r.Rand, services)
	case 1:
		c.Entry.Operation = pick(r.Rand, names)
	case 2:
		c.Outcome = pick(r.Rand, r.outcomes)
	case 3:
		c.MinDuration, c.MaxDuration = time.Duration(r.IntN(5))*10*time.Millisecond, time.Duration(r.IntN(9))*10*time.Millisecond
	case 4:
		for range 1 + r.IntN(2) {
			c.Services = append(c.Services, pick(r.Rand, services))
		}
	case 5:
		c.Spans = tracestore.CountRange{Min: r.IntN(6), Max: pointer(r.IntN(12))}
	case 6:
		c.Errors = tracestore.CountRange{Min: r.IntN(3)}
	}
	return c
}
