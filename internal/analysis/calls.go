package analysis

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

const (
	clientKind = ptrace.SpanKindClient
	serverKind = ptrace.SpanKindServer
)

// calls is what the patterns need to know of a trace besides its analysis: who asks whom for what, and for how long the request
// waited. Slices are by node.
//
// A call is a client span; a server span whose caller has no client span of its own; or an internal span whose only child is
// a call, as libraries write them around a query. Producers do not wait and are no calls.
type calls struct {
	result *Result
	tree   *tracetree.Tree
	order  []int // the nodes in the tree, parents before children
	// waited is the time on the critical path of the span and all below it.
	waited []int64
	// callee is noCall, or a number that two calls share if they ask for the same: the same operation of the same service or peer,
	// by the same statement but for its literals.
	callee []int32
	// statement is the database statement as it was sent, empty if there is none.
	statement []string
	// answer is the server span that answers a client span, the span itself where it is a server span, else -1.
	answer []int
	own    ownPath
}

const noCall = -1

// AnswerOf is the server span that answers a client span, the first of several; -1 if there is none, or the span is none of a client.
func AnswerOf(tree *tracetree.Tree, i int) int {
	if tree.Nodes[i].Kind() == clientKind {
		for _, child := range tree.Children(i) {
			if tree.Nodes[child].Kind() == serverKind {
				return child
			}
		}
	}
	return -1
}

// callsOf reads the calls of a result once, for whoever asks for them.
func callsOf(r *Result) *calls {
	if c := r.calls.Load(); c != nil {
		return c
	}
	c := readCalls(r)
	r.calls.Store(c)
	return c
}

func readCalls(r *Result) *calls {
	n := len(r.Tree.Nodes)
	c := &calls{
		result: r, tree: r.Tree,
		order: make([]int, 0, n), waited: make([]int64, n), callee: make([]int32, n), statement: make([]string, n), answer: make([]int, n),
		own: newOwnPath(n, r.Path),
	}
	c.order = append(c.order, r.Tree.Roots...)
	for at := 0; at < len(c.order); at++ {
		c.order = append(c.order, r.Tree.Children(c.order[at])...)
	}
	for i := range r.Tree.Nodes {
		c.waited[i] = r.Spans[i].CriticalPathTime
		c.callee[i], c.answer[i] = noCall, -1
	}
	names := calleeNames{numbers: make(map[string]int32)}
	for at := len(c.order) - 1; at >= 0; at-- { // children before their parents
		i := c.order[at]
		if p := r.Tree.Nodes[i].Parent; p >= 0 {
			c.waited[p] += c.waited[i]
		}
		c.readCall(i, &names)
	}
	return c
}

func (c *calls) readCall(i int, names *calleeNames) {
	n, s, children := &c.tree.Nodes[i], &c.result.Spans[i], c.tree.Children(i)
	below := int32(noCall)
	switch {
	case n.Kind() == clientKind:
		c.answer[i] = AnswerOf(c.tree, i)
		c.statement[i] = statementOf(n.Attributes())
	case n.Parent < 0:
		return
	case isCall(n, &c.tree.Nodes[n.Parent]):
		c.answer[i] = i
	case n.Kind() == ptrace.SpanKindInternal && len(children) == 1 && c.callee[children[0]] != noCall:
		below = c.callee[children[0]]
		c.statement[i] = c.statement[children[0]]
	default:
		return
	}
	service, operation := s.PeerService, ""
	if answer := c.answer[i]; answer >= 0 {
		service, operation = c.result.Spans[answer].Service, c.result.Spans[answer].Operation
	}
	c.callee[i] = names.number(below, service, operation, s.Operation, c.statement[i])
}

// reached says whether a span below a client span shows that the call arrived.
func (c *calls) reached(i int) bool {
	n := &c.tree.Nodes[i]
	return slices.ContainsFunc(c.tree.Children(i), func(below int) bool { return isCall(&c.tree.Nodes[below], n) || below == c.answer[i] })
}

// failed says whether the call failed, by its own word or by that of what answered.
func (c *calls) failed(i int) bool {
	return c.result.Spans[i].Failed || c.answer[i] >= 0 && c.result.Spans[c.answer[i]].Failed
}

// calleeNames numbers what calls ask for.
type calleeNames struct {
	numbers map[string]int32
	key     []byte
}

func (c *calleeNames) number(below int32, service, operation, call, statement string) int32 {
	c.key = binary.LittleEndian.AppendUint32(c.key[:0], uint32(below))
	for _, text := range [...]string{service, operation, call} {
		c.key = append(append(c.key, text...), 0)
	}
	c.key = appendWithoutLiterals(c.key, statement)
	number, ok := c.numbers[string(c.key)]
	if !ok {
		number = int32(len(c.numbers))
		c.numbers[string(c.key)] = number
	}
	return number
}

// maxStatement is how much of a database statement, in bytes, tells calls apart.
const maxStatement = 1024

func statementOf(attrs pcommon.Map) string {
	statement := conventions.Str(attrs, "db.query.text")
	if statement == "" {
		statement = conventions.Str(attrs, "db.statement")
	}
	return statement[:min(len(statement), maxStatement)]
}

// appendWithoutLiterals appends a statement with "#" in place of what stands in single quotes, and of numbers as in messages.
func appendWithoutLiterals(dst []byte, statement string) []byte {
	for statement != "" {
		text, rest, quoted := strings.Cut(statement, "'")
		dst = appendNormalized(dst, text)
		if !quoted {
			break
		}
		dst = append(dst, '#')
		_, statement, _ = strings.Cut(rest, "'")
	}
	return dst
}

// ownPath finds how long a span itself holds the critical path within any interval.
type ownPath struct {
	first    []int     // segments[first[i]:first[i+1]] are those of node i, in time order
	segments []Segment // by node
	before   []int64   // the length of all segments before
}

func newOwnPath(n int, path []Segment) ownPath {
	o := ownPath{first: make([]int, n+2), segments: make([]Segment, len(path)), before: make([]int64, len(path)+1)}
	for _, s := range path {
		o.first[s.Span+2]++
	}
	for i := 2; i < len(o.first); i++ {
		o.first[i] += o.first[i-1]
	}
	for _, s := range path {
		o.segments[o.first[s.Span+1]] = s
		o.first[s.Span+1]++
	}
	for i, s := range o.segments {
		o.before[i+1] = o.before[i] + s.End - s.Start
	}
	return o
}

func (o *ownPath) of(span int) []Segment { return o.segments[o.first[span]:o.first[span+1]] }

// between is for how long the span holds the path from one time to a later one.
func (o *ownPath) between(span int, from, to int64) int64 {
	return o.until(span, to) - o.until(span, from)
}

func (o *ownPath) until(span int, t int64) int64 {
	segments := o.of(span)
	at := sort.Search(len(segments), func(i int) bool { return segments[i].End > t })
	held := o.before[o.first[span]+at]
	if at < len(segments) && segments[at].Start < t {
		held += t - segments[at].Start
	}
	return held
}
