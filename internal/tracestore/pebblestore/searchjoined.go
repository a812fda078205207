package pebblestore

import (
	"errors"
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
// traces, so that a head, which is read once, saves the reading of many. A trace of more than maxRecomputedBytes is not held at once (verifyLarge). The error is
// errTooLarge where that does not answer.
func (r *search) verifyJoined(c *candidate) (bool, error) {
	list, err := refs(r.snapshot, r.days, c.at.TraceID, maxRowReleases+1)
	if err != nil {
		return false, err
	}
	if len(list) > maxRowReleases {
		return false, errTooLarge
	}
	may, err := r.headsMayHold(c.row, list)
	if err != nil || !may {
		return false, err
	}
	releases := make([]ptrace.Traces, len(list))
	reader := blockReader{reader: r.snapshot}
	defer reader.close()
	size := 0
	for i := range list {
		if releases[i], err = reader.traces(list[i], c.at.TraceID); err != nil {
			return false, err
		}
		if size += (&ptrace.ProtoMarshaler{}).TracesSize(releases[i]); size > maxRecomputedBytes {
			clear(releases)
			return r.verifyLarge(c, list, &reader)
		}
		if err := r.mayReadOn(i); err != nil {
			return false, err
		}
	}
	_, joined := tracetree.Join(releases)
	return r.filter.Match(&c.row.Summary, joined.Spans), nil
}

// verifyLarge looks at a trace's releases one by one, where that answers: where single spans, each of one release, decide.
func (r *search) verifyLarge(c *candidate, list []ref, reader *blockReader) (bool, error) {
	if !r.spansDecide || len(r.structures) > 0 || slices.ContainsFunc(r.conjuncts, asksOfReleasedAt) {
		return false, errTooLarge
	}
	open := make(map[int]*tracestore.Filter) // by the place among the conjuncts
	for i, conditions := range r.conjuncts {
		open[i] = tracestore.NewFilter(&tracestore.Conditions{Span: *conditions})
	}
	for n := range list {
		head, err := r.factsOf(list[n].at, list[n].sequence)
		if err != nil {
			return false, err
		}
		may := false
		for i := range open {
			may = may || head.conjuncts[i]
		}
		if !may {
			continue
		}
		if err := r.mayReadOn(n); err != nil {
			return false, err
		}
		td, err := reader.traces(list[n], c.at.TraceID)
		if err != nil {
			return false, err
		}
		_, joined := tracetree.Join([]ptrace.Traces{td})
		for i, filter := range open {
			if filter.Match(&c.row.Summary, joined.Spans) {
				delete(open, i)
			}
		}
		if len(open) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// mayReadOn says why the search reads no release behind the n-th of a trace. An ordinary trace is read to its end, because a page may be about to move past it.
func (r *search) mayReadOn(n int) error {
	err := r.interrupted()
	if n < maxRecomputedReleases && errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// headsMayHold says whether a trace may match by what its row, nil where that is not known, and the heads of its blocks say together.
func (r *search) headsMayHold(row *tracerow.Row, list []ref) (bool, error) {
	heads := make([]*headFacts, len(list))
	for i := range list {
		err := r.mayReadOn(i)
		if err != nil {
			return false, err
		}
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
