package pebblestore

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// headFacts is what a block's head says of a search.
type headFacts struct {
	tokens    []bool // by the filter's token: may occur
	conjuncts []bool // may hold on a span
}

// factsOf asks a head, once in a search.
func (r *search) factsOf(at partition, sequence uint64) (*headFacts, error) {
	if known := r.heads[sequence]; known != nil {
		return known, nil
	}
	head, err := readHead(r.snapshot, at, sequence)
	if err != nil {
		return nil, err
	}
	defer head.Close()
	facts := &headFacts{}
	for _, token := range r.filter.Tokens() {
		facts.tokens = append(facts.tokens, head.MayHold(token))
	}
	for _, conditions := range r.conjuncts {
		facts.conjuncts = append(facts.conjuncts, head.MayMatch(conditions))
	}
	if r.heads == nil {
		r.heads = make(map[uint64]*headFacts)
	}
	r.heads[sequence] = facts
	return facts, nil
}

// verifyJoined looks at the spans of a trace of several releases, where the heads of their blocks do not tell that it does not match. Blocks hold many of these
// traces, so that a head, which is read once, saves the reading of many.
func (r *search) verifyJoined(c *candidate) (bool, error) {
	list, err := refs(r.snapshot, r.days, c.at.TraceID, 0)
	if err != nil {
		return false, err
	}
	may, err := r.headsMayHold(c.row, list)
	if err != nil || !may {
		return false, err
	}
	releases := make([]ptrace.Traces, len(list))
	reader := blockReader{reader: r.snapshot}
	defer reader.close()
	for i := range list {
		if releases[i], err = reader.traces(list[i], c.at.TraceID); err != nil {
			return false, err
		}
		if err := r.ctx.Err(); err != nil {
			return false, err
		}
	}
	_, joined := tracetree.Join(releases)
	return r.filter.Match(&c.row.Summary, joined.Spans), nil
}

// headsMayHold says whether a trace may match by what its row, nil where that is not known, and the heads of its blocks say together.
func (r *search) headsMayHold(row *tracerow.Row, list []ref) (bool, error) {
	heads := make([]*headFacts, len(list))
	for i := range list {
		var err error
		if heads[i], err = r.factsOf(list[i].at, list[i].sequence); err != nil {
			return false, err
		}
	}
	may := func(token int) bool {
		return slices.ContainsFunc(heads, func(h *headFacts) bool { return h.tokens[token] })
	}
	var verdict tracestore.Verdict
	if row != nil {
		verdict = row.JudgeWith(r.filter, may)
	} else {
		verdict = r.filter.Judge(&tracestore.Facts{Token: maybe(may)})
	}
	if verdict == tracestore.No {
		return false, nil
	}
	for i, conditions := range r.conjuncts {
		if !asksOfReleasedAt(conditions) && !slices.ContainsFunc(heads, func(h *headFacts) bool { return h.conjuncts[i] }) {
			return false, nil
		}
	}
	return true, nil
}

// maybe is a verdict on tokens that may occur or certainly do not.
func maybe(may func(token int) bool) func(token int) tracestore.Verdict {
	return func(token int) tracestore.Verdict {
		if may(token) {
			return tracestore.Maybe
		}
		return tracestore.No
	}
}

// asksOfReleasedAt says whether the conditions ask for the time of release, which joining writes on all resources: it may be that of another block.
func asksOfReleasedAt(c *tracestore.SpanConditions) bool {
	asks := c.Not != nil && asksOfReleasedAt(c.Not)
	for i := range c.Attributes {
		asks = asks || c.Attributes[i].Key == conventions.AttrReleasedAt
	}
	for i := range c.And {
		asks = asks || asksOfReleasedAt(&c.And[i])
	}
	for i := range c.Or {
		asks = asks || asksOfReleasedAt(&c.Or[i])
	}
	return asks
}
