package tracestore

import "time"

// A Verdict is what is known of whether conditions hold: in the order of certainty that they do.
type Verdict int8

const (
	No Verdict = iota
	Maybe
	Yes
)

// VerdictOf is Yes or No.
func VerdictOf(holds bool) Verdict {
	if holds {
		return Yes
	}
	return No
}

// TokenKind says what a Token is about.
type TokenKind int8

const (
	// TokenService: a span's service, by either name (Value), as SpanConditions.Service has it.
	TokenService TokenKind = iota
	// TokenOperation: a span's operation, by either name (Value).
	TokenOperation
	// TokenCategory: a span's category (Value).
	TokenCategory
	// TokenSpanKind: a span's kind, as its number in decimal (Value).
	TokenSpanKind
	// TokenFailed: a span that failed (Value "true"), or did not ("false").
	TokenFailed
	// TokenKey: an attribute of a span or its resource (Key), of any value.
	TokenKey
	// TokenAttribute: an attribute of a span or its resource (Key) whose text is Value (pcommon.Value.AsString, whatever its
	// type, and however long it is).
	TokenAttribute
	// TokenEntryService, TokenEntryOperation, TokenOutcome: the row's entry and outcome (Value).
	TokenEntryService
	TokenEntryOperation
	TokenOutcome
)

// Token is a fact about a trace that conditions hang on and that a storage can index. A service or an operation stands under both its
// names; an attribute that stands on the span and on its resource under both its values.
type Token struct {
	Kind       TokenKind
	Key, Value string
}

// noToken stands for a condition that has none.
const noToken = -1

// token is the place of a token in Filter.tokens.
func (f *Filter) token(kind TokenKind, key, value string) int {
	token := Token{kind, key, value}
	for i := range f.tokens {
		if f.tokens[i] == token {
			return i
		}
	}
	f.tokens = append(f.tokens, token)
	return len(f.tokens) - 1
}

// Tokens are what Facts.Token is asked for, by index. The slice belongs to the filter. A storage hashes them once for a search.
func (f *Filter) Tokens() []Token { return f.tokens }

// Facts are what is known without spans: of one trace, or of all traces of a block together. What is left out is not known.
type Facts struct {
	// Row is the row of the one trace that the facts are of; nil where they are of several.
	Row *Summary
	// Token says of a token whether it occurs: No where it certainly does not occur in any of the traces, Yes where it certainly
	// does in the one trace, else Maybe. A filter that may err on one side, such as Bloom's, answers No and Maybe. nil knows none.
	Token func(i int) Verdict
	// LongestSpan is the duration of the longest span (SpanDuration), nanoseconds.
	LongestSpan *int64
	// Most are the largest figures of any row; not asked where Row is set.
	Most *Extremes
}

// Extremes are the largest figures among the rows of several traces.
type Extremes struct {
	Duration              int64 // nanoseconds
	SpanCount, ErrorCount int
}

// Judge says what the facts say of the conditions: No, they hold on none of the traces, which need not be looked at; Yes, they
// hold on all; Maybe, the spans must tell (Match), or of several traces their rows.
func (f *Filter) Judge(facts *Facts) Verdict { return f.root.judge(facts) }

// Decided says whether Judge never answers Maybe of one trace whose row and longest span are known, where exact tells the tokens
// of which the storage always knows Yes or No.
func (f *Filter) Decided(exact func(Token) bool) bool {
	known := make([]bool, len(f.tokens))
	for i, token := range f.tokens {
		known[i] = exact(token)
	}
	return f.root.decided(known)
}

func (n *node) decided(known []bool) bool {
	if len(n.structure) > 0 || n.span != nil && !n.span.decided(known) || n.not != nil && !n.not.decided(known) {
		return false
	}
	for _, service := range n.trace.services {
		if !service.decided(known) {
			return false
		}
	}
	for i := range n.and {
		if !n.and[i].decided(known) {
			return false
		}
	}
	for i := range n.or {
		if !n.or[i].decided(known) {
			return false
		}
	}
	return true
}

// decided: several conditions must hold on one span, which facts about all of them do not tell.
func (t *spanTest) decided(known []bool) bool {
	conditions, decided := 0, 0
	for _, token := range []int{t.service, t.operation, t.category, t.kind, t.status} {
		if token != noToken {
			conditions++
			if known[token] {
				decided++
			}
		}
	}
	if t.MinDuration > 0 {
		conditions++
		decided++
	}
	if t.MaxDuration > 0 || len(t.attributes) > 0 || len(t.and) > 0 || len(t.or) > 0 || t.not != nil {
		return false
	}
	return conditions == 0 || conditions == 1 && decided == 1
}

func (n *node) judge(facts *Facts) Verdict {
	v := n.trace.judge(facts)
	if n.span != nil {
		v = min(v, n.span.judge(facts))
	}
	for i := range n.structure {
		s := &n.structure[i]
		v = min(v, Maybe, s.above.judge(facts), s.below.judge(facts))
	}
	for i := range n.and {
		if v == No {
			return No
		}
		v = min(v, n.and[i].judge(facts))
	}
	if len(n.or) > 0 && v != No {
		best := No
		for i := range n.or {
			best = max(best, n.or[i].judge(facts))
		}
		v = min(v, best)
	}
	if n.not != nil && v != No {
		v = min(v, Yes-n.not.judge(facts))
	}
	return v
}

// judge: with a row it answers Maybe for the sake of Services alone.
func (t *traceTest) judge(facts *Facts) Verdict {
	v := Yes
	switch {
	case t.rowless:
	case facts.Row != nil:
		v = VerdictOf(t.matchRow(facts.Row))
	default:
		v = min(Maybe, facts.token(t.entryService), facts.token(t.entryOperation), facts.token(t.outcome), t.within(facts.Most))
	}
	for _, service := range t.services {
		v = min(v, service.judge(facts))
	}
	return v
}

// within is No where the row's figures ask for more than any row has.
func (t *traceTest) within(most *Extremes) Verdict {
	if most != nil && (time.Duration(most.Duration) < t.MinDuration || most.SpanCount < t.Spans.Min || most.ErrorCount < t.Errors.Min) {
		return No
	}
	return Maybe
}

// judge is about whether there is a span on which everything holds.
func (t *spanTest) judge(facts *Facts) Verdict {
	v, conditions := Yes, 0
	add := func(next Verdict) {
		v = min(v, next)
		conditions++
	}
	for _, token := range [...]int{t.service, t.operation, t.category, t.kind, t.status} {
		if token != noToken {
			add(facts.token(token))
		}
	}
	if t.MinDuration > 0 {
		add(facts.longest(t.MinDuration))
	}
	if t.MaxDuration > 0 || t.not != nil {
		add(Maybe)
	}
	for i := range t.attributes {
		add(min(Maybe, facts.token(t.attributes[i].token))) // the token may be one that a scope leaves out
	}
	for _, and := range t.and {
		add(and.judge(facts))
	}
	if len(t.or) > 0 {
		best := No
		for _, or := range t.or {
			best = max(best, or.judge(facts))
		}
		add(best)
	}
	if v == Yes && (conditions > 1 || conditions == 1 && facts.Row == nil) {
		// Each holds somewhere, but all of them on one span, or in each of the traces?
		return Maybe
	}
	return v
}

func (facts *Facts) token(i int) Verdict {
	if i == noToken {
		return Yes // nothing is asked for
	}
	if facts.Token == nil {
		return Maybe
	}
	return facts.Token(i)
}

func (facts *Facts) longest(shortest time.Duration) Verdict {
	switch {
	case facts.LongestSpan == nil:
		return Maybe
	case time.Duration(*facts.LongestSpan) < shortest:
		return No
	}
	return Yes
}
