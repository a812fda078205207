package tracestore

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// Filter is a query's conditions, made ready to be asked of many traces: Judge says what follows from little knowledge of them,
// Match looks at the spans. It keeps memory from trace to trace, so it serves one goroutine at a time.
type Filter struct {
	root   node
	tokens []Token
	// memos remember, by the place of a test, what it found of the resource that was looked at last. They are of one trace.
	memos []memo

	builder      tracetree.Builder
	above, below []bool // by node of the tree, while a structure is looked for
	beneath      []beneath
	walk         []int32
}

// memo is what a test found of a resource.
type memo struct {
	known    bool
	resource pcommon.Resource
	holds    bool
}

// node is one Conditions.
type node struct {
	span      *spanTest // nil where there is none
	trace     traceTest
	structure []structureTest
	and, or   []node
	not       *node
}

type structureTest struct {
	above, below *spanTest
	relation     Relation
}

// NewFilter compiles conditions, which must not change as long as it is used.
func NewFilter(conditions *Conditions) *Filter {
	f := new(Filter)
	f.root = f.compile(conditions)
	return f
}

func (f *Filter) compile(c *Conditions) node {
	n := node{trace: f.compileTrace(&c.Trace)}
	if !c.Span.Empty() {
		n.span = f.compileSpan(&c.Span)
	}
	for i := range c.Structure {
		s := &c.Structure[i]
		n.structure = append(n.structure, structureTest{f.compileSpan(&s.Above), f.compileSpan(&s.Below), s.Relation})
	}
	for i := range c.And {
		n.and = append(n.and, f.compile(&c.And[i]))
	}
	for i := range c.Or {
		n.or = append(n.or, f.compile(&c.Or[i]))
	}
	if c.Not != nil {
		not := f.compile(c.Not)
		n.not = &not
	}
	return n
}

// Match says whether the conditions hold on a trace, given its row and all its spans, joined (tracetree.Join). The spans are
// not changed and not kept.
func (f *Filter) Match(row *Summary, spans []tracetree.Span) bool {
	if verdict := f.Judge(&Facts{Row: row}); verdict != Maybe {
		return verdict == Yes
	}
	clear(f.memos)
	t := traceSpans{filter: f, row: row, spans: spans}
	matches := t.match(&f.root)
	if t.tree != nil {
		f.builder.Reset()
	}
	clear(f.memos) // which would keep the trace alive
	return matches
}

// traceSpans is a trace while it is matched.
type traceSpans struct {
	filter *Filter
	row    *Summary
	spans  []tracetree.Span
	tree   *tracetree.Tree // nil until a structure needs it
}

func (t *traceSpans) match(n *node) bool {
	if !n.trace.matchRow(t.row) || n.span != nil && !t.any(n.span) {
		return false
	}
	for i := range n.trace.services {
		if !t.any(n.trace.services[i]) {
			return false
		}
	}
	for i := range n.and {
		if !t.match(&n.and[i]) {
			return false
		}
	}
	if n.not != nil && t.match(n.not) {
		return false
	}
	for i := range n.structure {
		if !t.related(&n.structure[i]) {
			return false
		}
	}
	for i := range n.or {
		if t.match(&n.or[i]) {
			return true
		}
	}
	return len(n.or) == 0
}

// any says whether the test holds on a span.
func (t *traceSpans) any(test *spanTest) bool {
	for i := range t.spans {
		if test.match(t.filter, &t.spans[i]) {
			return true
		}
	}
	return false
}

// beneath is what is known of a node: whether above holds on one of its ancestors.
type beneath int8

const (
	beneathUnknown beneath = iota
	beneathOne
	beneathNone
)

// related says whether the structure is in the trace. It looks at every node a bounded number of times, however deep the tree.
func (t *traceSpans) related(s *structureTest) bool {
	f := t.filter
	if !t.any(s.above) || !t.any(s.below) {
		return false
	}
	if t.tree == nil {
		t.tree = f.builder.Build(t.spans)
	}
	nodes := t.tree.Nodes
	f.above, f.below = resized(f.above, len(nodes)), resized(f.below, len(nodes))
	for i := range nodes {
		f.above[i] = nodes[i].InTree() && s.above.match(f, &t.spans[i])
		f.below[i] = nodes[i].InTree() && s.below.match(f, &t.spans[i])
	}
	if s.relation == RelationDescendant {
		f.beneath = resized(f.beneath, len(nodes))
	}
	for i := range nodes {
		if !f.below[i] {
			continue
		}
		switch s.relation {
		case RelationChild:
			if parent := nodes[i].Parent; parent >= 0 && f.above[parent] {
				return true
			}
		case RelationDescendant:
			if f.isBeneath(nodes, i) {
				return true
			}
		}
	}
	return false
}

// isBeneath says whether above holds on an ancestor of the node, and remembers it of all nodes on the way there.
func (f *Filter) isBeneath(nodes []tracetree.Node, i int) bool {
	f.walk = f.walk[:0]
	known := f.beneath[i]
	for at := i; known == beneathUnknown; known = f.beneath[at] {
		f.walk = append(f.walk, int32(at))
		at = nodes[at].Parent
		if at < 0 {
			known = beneathNone
			break
		}
		if f.above[at] {
			known = beneathOne
			break
		}
	}
	for _, node := range f.walk {
		f.beneath[node] = known
	}
	return known == beneathOne
}

// resized is a slice of n zero values, in the memory of s where that is enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// traceTest is one TraceConditions.
type traceTest struct {
	*TraceConditions
	// rowless says that nothing but Services is asked for.
	rowless  bool
	services []*spanTest
	// The tokens of the entry and the outcome; noToken where there is no condition.
	entryService, entryOperation, outcome int
}

func (f *Filter) compileTrace(c *TraceConditions) traceTest {
	t := traceTest{TraceConditions: c, entryService: noToken, entryOperation: noToken, outcome: noToken}
	t.rowless = c.Entry == (Operation{}) && c.Outcome == "" && c.MinDuration <= 0 && c.MaxDuration <= 0 &&
		c.Spans.Empty() && c.Errors.Empty()
	if c.Entry.Service != "" {
		t.entryService = f.token(TokenEntryService, "", c.Entry.Service)
	}
	if c.Entry.Operation != "" {
		t.entryOperation = f.token(TokenEntryOperation, "", c.Entry.Operation)
	}
	if c.Outcome != "" {
		t.outcome = f.token(TokenOutcome, "", c.Outcome)
	}
	for _, service := range c.Services {
		t.services = append(t.services, f.compileSpan(&SpanConditions{Service: service}))
	}
	return t
}

// matchRow says whether all but Services holds.
func (t *traceTest) matchRow(row *Summary) bool {
	return t.rowless ||
		(t.Entry.Service == "" || t.Entry.Service == row.Entry.Service) &&
			(t.Entry.Operation == "" || t.Entry.Operation == row.Entry.Operation) &&
			(t.Outcome == "" || t.Outcome == row.Outcome) &&
			DurationWithin(time.Duration(row.Duration), t.MinDuration, t.MaxDuration) &&
			t.Spans.holds(row.SpanCount) && t.Errors.holds(row.ErrorCount)
}

// Empty says whether the range has no bounds. A minimum below 0 bounds nothing.
func (r CountRange) Empty() bool { return r.Min <= 0 && r.Max == nil }

func (r CountRange) holds(n int) bool { return n >= r.Min && (r.Max == nil || n <= *r.Max) }
