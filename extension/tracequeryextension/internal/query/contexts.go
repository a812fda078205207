package query

import (
	"context"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// EdgeContext says how the trace context comes across from a service to another.
type EdgeContext struct {
	// Accuracy is the share of the parent's calls that spans of the child answer, of those in the minutes in which the child sent
	// spans. Nil where there are none.
	Accuracy *float64
	// Loss says what became of the others, where that shows.
	Loss ContextLoss
	// Violations counts the child's spans, called by the parent, that break a rule, by the rule.
	Violations map[string]int64
}

// ContextLoss is why a service has no span for calls to it.
type ContextLoss string

const (
	// ContextLost: the calls arrived without their context, and the service began traces of its own.
	ContextLost ContextLoss = "context_lost"
	// SpansMissing: the service's spans are missing, because it samples or loses them.
	SpansMissing ContextLoss = "spans_missing"
)

const (
	// minUnanswered is how many calls without an answer are looked into.
	minUnanswered = 10
	// accurate is the share of answered calls from which on nothing is looked into.
	accurate = 0.995
	// Roots explain calls without an answer if there are from half to double as many.
	fewRoots, manyRoots = 0.5, 2
)

// contexts is what the services of a window tell of their contexts. See docs/analysis.md, "Context accuracy".
type contexts struct {
	pairs map[[2]string]*tracestore.ContextAggregate // by parent and child
	// services is the service that a caller calls under a peer's name, by both.
	services map[[2]string]string
	// violations are those of all spans of a service.
	violations map[string]map[string]int64
	// roots counts, by service, the server spans that have no parent, by operation.
	roots map[string]map[string]int64
	// called are the operations of a service that other services call.
	called map[string]map[string]bool
}

func newContexts() contexts {
	return contexts{
		pairs: make(map[[2]string]*tracestore.ContextAggregate), services: make(map[[2]string]string),
		violations: make(map[string]map[string]int64), roots: make(map[string]map[string]int64), called: make(map[string]map[string]bool),
	}
}

// addRoots takes an operation.
func (c *contexts) addRoots(o *tracestore.OperationAggregate) {
	if o.Kind != "server" || o.Roots == 0 {
		return
	}
	if c.roots[o.Service] == nil {
		c.roots[o.Service] = make(map[string]int64)
	}
	c.roots[o.Service][o.Operation.Operation] += o.Roots
}

// read reads the contexts of the window, and which operations are called where that says what became of calls.
func (c *contexts) read(ctx context.Context, reader tracestore.Reader, tenant string, query *tracestore.AggregateQuery) error {
	lost := false
	for pair, err := range reader.Contexts(ctx, tenant, query) {
		if err != nil {
			return err
		}
		c.add(&pair)
		lost = lost || inaccurate(&pair)
	}
	if !lost {
		return nil
	}
	byOperation := *query
	byOperation.ByOperation, byOperation.NoDurations = true, true
	for edge, err := range reader.Edges(ctx, tenant, &byOperation) {
		if err != nil {
			return err
		}
		if edge.ChildOperation == "" {
			continue
		}
		if c.called[edge.Child] == nil {
			c.called[edge.Child] = make(map[string]bool)
		}
		c.called[edge.Child][edge.ChildOperation] = true
	}
	return nil
}

func (c *contexts) add(pair *tracestore.ContextAggregate) {
	if pair.Parent != "" {
		c.pairs[[2]string{pair.Parent, pair.Child}] = pair
	}
	for _, peer := range pair.Peers {
		c.services[[2]string{pair.Parent, peer}] = pair.Child
	}
	for rule, spans := range pair.Violations {
		if c.violations[pair.Child] == nil {
			c.violations[pair.Child] = make(map[string]int64)
		}
		c.violations[pair.Child][rule] += spans
	}
}

// service is the service that a caller calls under a peer's name, or the name itself.
func (c *contexts) service(caller, peer string) string {
	if service, known := c.services[[2]string{caller, peer}]; known {
		return service
	}
	return peer
}

func inaccurate(pair *tracestore.ContextAggregate) bool {
	return pair.Unanswered >= minUnanswered && accuracy(pair) < accurate
}

func accuracy(pair *tracestore.ContextAggregate) float64 {
	return float64(pair.Calls) / float64(pair.Calls+pair.Unanswered)
}

// edge is nil where nothing is known.
func (c *contexts) edge(parent, child string) *EdgeContext {
	from := c.pairs[[2]string{parent, child}]
	if from == nil || parent == child {
		return nil
	}
	edge := &EdgeContext{Violations: from.Violations}
	if from.Calls+from.Unanswered > 0 {
		share := accuracy(from)
		edge.Accuracy = &share
	}
	if inaccurate(from) {
		edge.Loss = c.loss(child)
	}
	return edge
}

// loss compares the calls to a service that it has no span for with the traces that it began itself. Only operations that services call
// count, unless no caller's context comes across at all: others are those by which requests enter.
func (c *contexts) loss(service string) ContextLoss {
	unanswered, called := int64(0), c.called[service]
	for _, pair := range c.pairs {
		if pair.Child == service {
			unanswered += pair.Unanswered
		}
	}
	own, all := int64(0), int64(0)
	for operation, roots := range c.roots[service] {
		all += roots
		if len(called) == 0 || called[operation] {
			own += roots
		}
	}
	few, many := int64(fewRoots*float64(unanswered)), int64(manyRoots*float64(unanswered))
	switch {
	case all < few:
		return SpansMissing
	case own >= few && own <= many:
		return ContextLost
	}
	return ""
}
