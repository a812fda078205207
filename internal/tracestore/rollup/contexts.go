package rollup

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Contexts holds, of a minute, all that context accuracy is made of, so that it can be worked out minute by minute. A series is one
// of these, by the columns that are not empty:
//
//	parent, child             calls of the parent that spans of the child answered (the first number); client spans of the
//	                          parent that nobody answered (unanswered), and those of them that were answered late (taken
//	                          back), where the child is what the client span names as its peer
//	child                     spans of the service
//	child, violation          spans that break the rule, and that no other service called
//	parent, child, violation  spans that break the rule, and that the parent called
//	child, peer               calls seen that named the peer so and were answered by the child
//
// Only what spans say of broken rules is counted span by span. The rest is made of the other tables once a call is summed.

// addViolations counts the rules that the span breaks.
func (c *collector) addViolations() {
	for _, name := range c.read.violations.All() {
		k := key{
			colEnvironment: c.resource.environment, contextChild: c.resource.service, contextViolation: c.id(text(name)),
		}
		if c.read.parent.Service != "" {
			k[contextParent] = c.id(c.read.parent.Service)
		}
		if k[contextViolation] != 0 {
			r := c.Sums.at(Contexts, &k)
			r.numbers[numCount] = sum(r.numbers[numCount], 1)
		}
	}
}

// deriveContexts makes the series that other tables know.
func (c *collector) deriveContexts() {
	operations := &c.Sums.tables[Operations]
	for i := range operations.keys {
		from := &operations.keys[i]
		r := c.Sums.at(Contexts, &key{colEnvironment: from[colEnvironment], contextChild: from[operationService]})
		r.numbers[numCount] = sum(r.numbers[numCount], operations.rows[i].numbers[numCount])
	}
	edges, external := &c.Sums.tables[Edges], c.id(conventions.KindExternal)
	for i := range edges.keys {
		from, calls := &edges.keys[i], &edges.rows[i].numbers
		if from[edgeParent] == 0 {
			continue // a late span that does not say whose call it takes back
		}
		k := key{colEnvironment: from[colEnvironment], contextParent: from[edgeParent], contextChild: from[edgeChild]}
		switch from[edgeKind] {
		case c.called:
			r := c.Sums.at(Contexts, &k)
			r.numbers[numCount] = sum(r.numbers[numCount], calls[numCount])
		case external: // databases and queues answer with no span
			r := c.Sums.at(Contexts, &k)
			r.numbers[numUnanswered] = sum(r.numbers[numUnanswered], calls[numCount])
			r.numbers[numTakenBack] = sum(r.numbers[numTakenBack], calls[numRetracted])
		}
	}
}

// answered is a call of which the span that answers it was seen.
type answered struct {
	client             pcommon.SpanID
	environment, child uint32
}

// callSlots is how many client spans of a release are remembered, by the last byte of their ids.
const callSlots = 256

// maxLearned is how many answered calls of a call are looked at. It takes as long as counting a span, and most names occur in every
// call, whose traces come in any order.
const maxLearned = 64

// learnPeers learns under which names the services are called that answered calls of the release: the first call of each edge.
func (c *collector) learnPeers(spans []tracetree.Span) {
	for i := range c.answered {
		call := &c.answered[i]
		at := int(c.clients[call.client[7]])
		if at >= len(spans) || spans[at].SpanID() != call.client || spans[at].Kind() != ptrace.SpanKindClient {
			continue
		}
		facts := conventions.ReadSpan(spans[at].Span)
		peer, kind := facts.Peer()
		peer = conventions.ShortName(peer)
		if kind != conventions.KindExternal || namesService(peer, c.Sums.strings.text(call.child)) {
			continue
		}
		r := c.Sums.at(Contexts, &key{colEnvironment: call.environment, contextChild: call.child, contextPeer: c.id(peer)})
		r.numbers[numCount] = sum(r.numbers[numCount], 1)
	}
	c.answered = c.answered[:0]
}
