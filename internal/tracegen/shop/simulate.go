package shop

import (
	"math/rand/v2"
	"time"
)

// simulation runs one visit: time moves forward while endpoints do their steps, so that children lie inside their
// parents, except what consumers do. It recurses along the menu, which is at most eight spans deep.
type simulation struct {
	shop  *Shop
	visit *Visit
	rng   *rand.Rand
	// sites counts the places at which the visit could have failed so far; at number failAt it does.
	sites, failAt int
}

// The way of a request or message over the network, one way.
var (
	networkDelay = latency{180 * time.Microsecond, 0.5}
	brokerDelay  = latency{25 * time.Millisecond, 1}
	brokerAck    = latency{900 * time.Microsecond, 0.6}
	hesitation   = latency{30 * time.Microsecond, 0.8}
	backoff      = latency{40 * time.Millisecond, 0.4}
)

// site is a place at which the visit can fail; it says whether it does.
func (s *simulation) site() bool {
	fails := s.sites == s.failAt
	s.sites++
	return fails
}

func (s *simulation) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

func (s *simulation) add(span Span) int {
	s.visit.Spans = append(s.visit.Spans, span)
	return len(s.visit.Spans) - 1
}

func (s *simulation) span(i int) *Span { return &s.visit.Spans[i] }

// faults are those of the instance that a span comes from.
func (s *simulation) faults(span int) *instanceFaults {
	return &s.shop.faults[s.span(span).Service][s.span(span).Instance]
}

// serve runs an endpoint and returns the index of its span.
func (s *simulation) serve(e *endpoint, parent, trace int, start int64) int {
	if parent >= 0 && s.chance(s.shop.faults[e.service][0].context) { // the same for all instances
		// The incoming context is dropped: the service believes to be the first.
		parent, trace = -1, len(s.visit.Traces)
		s.visit.Traces = append(s.visit.Traces, Trace{})
	}
	kind := Server
	if e.topic != nil {
		kind = Consumer
	}
	i := s.add(Span{
		Trace: trace, Parent: parent, Service: e.service, Instance: s.rng.IntN(services[e.service].Instances),
		Name: e.name, Kind: kind, Protocol: e.protocol, Start: start, served: e,
	})
	faults := s.faults(i)
	own := int64(float64(e.work.sample(s.rng)) * faults.slowness())
	before := int64(float64(own) * (0.2 + 0.5*s.rng.Float64()))
	t := start + before
	if s.site() || s.chance(faults.errors) {
		s.span(i).Failed, s.span(i).origin, s.span(i).End = true, true, t
		return i
	}
	t, ok := s.steps(i, e.steps, t)
	s.span(i).Failed = !ok
	if ok {
		t += own - before
	} else {
		t += hesitation.sample(s.rng)
	}
	s.span(i).End = t
	return i
}

// steps does the steps one after the other, below span parent. It stops at the first failure that is not absorbed.
func (s *simulation) steps(parent int, steps []step, t int64) (end int64, ok bool) {
	for k := range steps {
		if t, ok = s.repeat(parent, &steps[k], t); !ok {
			return t, false
		}
	}
	return t, true
}

func (s *simulation) repeat(parent int, st *step, t int64) (int64, bool) {
	if st.chance < 1 && !s.chance(st.chance) {
		return t, true
	}
	for range st.min + s.rng.IntN(st.max-st.min+1) {
		end, ok := s.step(parent, st, t+hesitation.sample(s.rng))
		t = end
		if !ok {
			return t, st.optional
		}
	}
	return t, true
}

func (s *simulation) step(parent int, st *step, t int64) (end int64, ok bool) {
	switch st.kind {
	case stepCall:
		return s.call(parent, st, t)
	case stepQuery:
		return s.leaf(parent, st, t, st.query.summary, st.query.store.system, st.query.latency)
	case stepFetch:
		return s.leaf(parent, st, t, st.external.method+" "+st.external.template, protocolHTTP, st.external.latency)
	case stepPublish:
		return s.publish(parent, st, t)
	case stepTogether:
		return s.together(parent, st.steps, t)
	default:
		return s.work(parent, st, t)
	}
}

// below makes a span of the service that does something, under its span parent.
func (s *simulation) below(parent int, st *step, kind Kind, start int64) Span {
	p := s.span(parent)
	return Span{Trace: p.Trace, Parent: parent, Service: p.Service, Instance: p.Instance, Kind: kind, Start: start, done: st}
}

// call calls another service, again where a fault makes it fail first.
func (s *simulation) call(parent int, st *step, t int64) (int64, bool) {
	again := 0
	if s.chance(s.faults(parent).retries) || s.chance(s.shop.faults[st.endpoint.service][0].overload) {
		again = 1 + s.rng.IntN(2)
	}
	for attempt := 0; ; attempt++ {
		client := s.below(parent, st, Client, t)
		client.Name, client.Protocol, client.served, client.attempt = st.endpoint.name, st.endpoint.protocol, st.endpoint, attempt
		c := s.add(client)
		arrival := t + networkDelay.sample(s.rng)
		var server int
		if attempt < again {
			server = s.refuse(st.endpoint, c, arrival)
		} else {
			server = s.serve(st.endpoint, c, s.span(c).Trace, arrival)
		}
		t = s.span(server).End + networkDelay.sample(s.rng)
		s.answer(s.span(c), s.span(server), t)
		if attempt >= again {
			return t, !s.span(server).Failed
		}
		t += backoff.sample(s.rng)
	}
}

// answer ends a CLIENT span with what the service answered.
func (s *simulation) answer(client, server *Span, end int64) {
	client.End, client.Failed = end, server.Failed
	client.answered, client.overloaded = server.origin, server.overloaded
}

// refuse is a service that fails a call at once because it is overloaded.
func (s *simulation) refuse(e *endpoint, client int, start int64) int {
	return s.add(Span{
		Trace: s.span(client).Trace, Parent: client, Service: e.service, Instance: s.rng.IntN(services[e.service].Instances),
		Name: e.name, Kind: Server, Protocol: e.protocol, Start: start, End: start + e.work.sample(s.rng),
		Failed: true, origin: true, overloaded: true, served: e,
	})
}

// leaf is a CLIENT span to something that sends no spans.
func (s *simulation) leaf(parent int, st *step, t int64, name, protocol string, l latency) (int64, bool) {
	span := s.below(parent, st, Client, t)
	span.Name, span.Protocol, span.End = name, protocol, t+l.sample(s.rng)
	if s.site() {
		span.Failed, span.origin = true, true
	}
	s.add(span)
	return span.End, !span.Failed
}

// publish sends a message. What its consumers do takes no time of the sender and does not fail it.
func (s *simulation) publish(parent int, st *step, t int64) (int64, bool) {
	span := s.below(parent, st, Producer, t)
	span.Name, span.Protocol, span.End = "send "+st.topic.name, st.topic.system, t+brokerAck.sample(s.rng)
	p := s.add(span)
	for _, consumer := range st.topic.consumers {
		arrival := span.End + brokerDelay.sample(s.rng)
		if d := &s.shop.options.ConsumerDelay; d.Max > 0 {
			arrival += d.sample(s.rng)
		}
		s.serve(consumer, p, span.Trace, arrival)
	}
	return span.End, true
}

// together does steps at the same time; it takes as long as the slowest, and fails if one fails.
func (s *simulation) together(parent int, steps []step, t int64) (end int64, ok bool) {
	end, ok = t, true
	for k := range steps {
		t += hesitation.sample(s.rng)
		e, done := s.repeat(parent, &steps[k], t)
		end, ok = max(end, e), ok && done
	}
	return end, ok
}

// work is an INTERNAL span.
func (s *simulation) work(parent int, st *step, t int64) (int64, bool) {
	span := s.below(parent, st, Internal, t)
	span.Name = st.function
	i := s.add(span)
	own := int64(float64(st.latency.sample(s.rng)) * s.faults(i).slowness())
	end, ok := t+own, true
	if s.site() {
		s.span(i).Failed, s.span(i).origin, ok = true, true, false
	} else if len(st.steps) > 0 {
		end, ok = s.steps(i, st.steps, t+own/2)
		end += own - own/2
		s.span(i).Failed = !ok
	}
	s.span(i).End = end
	return end, ok
}
