package analysis

import (
	"slices"
	"strings"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// ErrorKind says how a failure looks from where it began. docs/analysis.md defines each.
type ErrorKind string

// The kinds of failures.
const (
	ErrorFailure     ErrorKind = "failure"
	ErrorTimeout     ErrorKind = "timeout"
	ErrorUnreachable ErrorKind = "unreachable"
	ErrorCancelled   ErrorKind = "cancelled"
)

// ErrorKinds are all of them.
var ErrorKinds = []ErrorKind{ErrorFailure, ErrorTimeout, ErrorUnreachable, ErrorCancelled}

// Absorption is how a failure ended before it reached the entry.
type Absorption string

// The ways to absorb a failure.
const (
	AbsorbedRetried Absorption = "retried" // a later call alike succeeded
	AbsorbedCaught  Absorption = "caught"  // the caller did not fail
)

// MaxErrorPath is how many spans AppendErrorPath gives.
const MaxErrorPath = 32

// Origin is where a failure began, and how far it went.
type Origin struct {
	// Span is the node: one whose ErrorOrigin is set.
	Span int
	Kind ErrorKind
	// Type is the exception's, or error.type. Message is the message, or the status code where there is none, without what differs from case to
	// case. Fingerprints are made of both.
	Type, Message string
	// PathLength counts the spans from this one to the root above it, both among them.
	PathLength int
	// Absorbed says whether and how the failure ended on the way, empty if it did not; AbsorbedBy is the node that tried again or did not fail, Retry
	// the call that succeeded, both -1 where there is none.
	Absorbed   Absorption
	AbsorbedBy int
	Retry      int
	// ReachedEntry says that all spans up to the entry failed, and nothing absorbed it.
	ReachedEntry bool
	// CancelledBy is, for a cancelled span, the node above it that ran into a time limit, else -1.
	CancelledBy int
}

// FindOrigins tells of each error origin in the tree, by start, how it failed and how far that went. It takes O(n log n) time, and next to none where
// nothing failed. It changes nothing. What it answers depends on the result alone, not on the order of the spans.
func FindOrigins(r *Result) []Origin {
	count := 0
	for i := range r.Spans {
		if r.Spans[i].ErrorOrigin {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	o := originFinder{calls: callsOf(r), ways: make([]errorWay, len(r.Spans)), targets: make([]callTarget, len(r.Spans))}
	o.readTargets()
	origins := make([]Origin, 0, count)
	for _, i := range o.order { // parents before children
		o.follow(i)
		if r.Spans[i].ErrorOrigin {
			origins = append(origins, o.origin(i))
		}
	}
	slices.SortFunc(origins, func(a, b Origin) int { return o.compareStart(a.Span, b.Span) })
	return origins
}

// AppendErrorPath appends the nodes from a node up to the root above it, at most the first MaxErrorPath: the way that a failure took, or would have
// taken.
func (r *Result) AppendErrorPath(dst []int, span int) []int {
	for range MaxErrorPath {
		if span < 0 {
			break
		}
		dst = append(dst, span)
		span = r.Tree.Nodes[span].Parent
	}
	return dst
}

// originFinder works through a trace with failures.
type originFinder struct {
	*calls

	ways    []errorWay   // by node
	targets []callTarget // by node
}

// callTarget is what a call, or the only call below an internal span, says that it asks for besides its name.
type callTarget struct {
	peer, url string
	answered  bool // by a server span
}

// errorWay is the way up from a node, for a failure of that node.
type errorWay struct {
	depth        int32
	retryRead    bool  // retry of the children is known
	retry        int32 // one more than the later call alike that succeeded
	absorbedBy   int32 // one more than the node
	absorbed     Absorption
	absorbedCall int32 // one more than the call that succeeded instead
	reachedEntry bool
	timeout      bool
	timeoutAbove int32 // one more than the nearest node above that ran into a time limit
}

func (o *originFinder) readTargets() {
	for at := len(o.order) - 1; at >= 0; at-- { // children before their parents
		i := o.order[at]
		n, t := &o.tree.Nodes[i], &o.targets[i]
		switch {
		case o.callee[i] == noCall:
		case n.Kind() == clientKind:
			facts := conventions.ReadSpan(n.Span.Span)
			t.peer, _ = facts.Peer()
			t.answered = o.answer[i] >= 0
			for _, key := range [...]string{"url.full", "http.url", "http.target"} {
				if t.url = conventions.Str(n.Attributes(), key); t.url != "" {
					break
				}
			}
		case o.answer[i] == i: // a server span, whose caller says nothing
			t.answered = true
		default:
			*t = o.targets[o.tree.Children(i)[0]]
		}
	}
}

// follow finds the way up from a node, once that of its parent is known.
func (o *originFinder) follow(i int) {
	spans, w := o.result.Spans, &o.ways[i]
	w.depth = 1
	p := o.tree.Nodes[i].Parent
	if p >= 0 {
		above := &o.ways[p]
		w.depth = above.depth + 1
		w.timeoutAbove = above.timeoutAbove
		if above.timeout {
			w.timeoutAbove = int32(p) + 1
		}
	}
	if !spans[i].Failing {
		return
	}
	n := &o.tree.Nodes[i]
	w.timeout = saysTimeout(n) || n.Kind() == clientKind && o.outlasted(i) && !saysCancelled(n)
	if p < 0 {
		w.reachedEntry = i == o.tree.Entry
		return
	}
	if o.callee[i] != noCall && !o.ways[p].retryRead {
		o.ways[p].retryRead = true
		o.findRetries(p)
	}
	switch above := &o.ways[p]; {
	case w.retry > 0:
		w.absorbed, w.absorbedBy, w.absorbedCall = AbsorbedRetried, int32(p)+1, w.retry
	case spans[p].Failing:
		w.absorbed, w.absorbedBy, w.absorbedCall, w.reachedEntry = above.absorbed, above.absorbedBy, above.absorbedCall, above.reachedEntry
	case blocks(&o.tree.Nodes[p], n): // who does not wait catches nothing
		w.absorbed, w.absorbedBy = AbsorbedCaught, int32(p)+1
	}
}

func (o *originFinder) origin(i int) Origin {
	w := &o.ways[i]
	failure, message := whatFailed(nil, &o.tree.Nodes[i])
	origin := Origin{
		Span: i, Kind: o.kind(i), Type: failure, Message: string(message), PathLength: int(w.depth),
		Absorbed: w.absorbed, AbsorbedBy: int(w.absorbedBy) - 1, Retry: int(w.absorbedCall) - 1, ReachedEntry: w.reachedEntry, CancelledBy: -1,
	}
	if origin.Kind == ErrorCancelled {
		origin.CancelledBy = int(w.timeoutAbove) - 1
	}
	return origin
}

// sameCall is what calls alike below one span have in common: what they ask for, or, for those that nobody answered, what the caller says
// of it.
type sameCall struct {
	callee          int32
	operation, peer string
	statement, url  string
}

// findRetries finds, for the calls below a span that failed, the next call alike that succeeded.
//
//	checkout  |--------------------|
//	 reserve    |-- failed   |---|
func (o *originFinder) findRetries(parent int) {
	succeeded := make(map[sameCall][]int) // in start order
	for _, i := range o.tree.Children(parent) {
		if o.callee[i] == noCall || o.result.Spans[i].Failing || o.answer[i] >= 0 && o.result.Spans[o.answer[i]].Failing {
			continue
		}
		key := o.asked(i)
		succeeded[key] = append(succeeded[key], i)
		if key, ok := o.said(i); ok {
			succeeded[key] = append(succeeded[key], i)
		}
	}
	if len(succeeded) == 0 {
		return
	}
	for _, i := range o.tree.Children(parent) {
		if o.callee[i] == noCall || !o.result.Spans[i].Failing {
			continue
		}
		later := o.next(succeeded[o.asked(i)], o.tree.Nodes[i].End)
		if key, ok := o.said(i); ok && !o.targets[i].answered {
			if other := o.next(succeeded[key], o.tree.Nodes[i].End); later == 0 || other > 0 && o.compareStart(int(other-1), int(later-1)) < 0 {
				later = other
			}
		}
		o.ways[i].retry = later
	}
}

func (o *originFinder) asked(i int) sameCall {
	return sameCall{callee: o.callee[i], statement: o.statement[i], url: o.targets[i].url}
}

// said is what a call says of itself, whoever answers; ok is false where it does not name whom it calls.
func (o *originFinder) said(i int) (key sameCall, ok bool) {
	t := &o.targets[i]
	return sameCall{noCall, o.result.Spans[i].Operation, t.peer, o.statement[i], t.url}, t.peer != ""
}

// next is one more than the first of the spans that begins at the time or later, 0 if none does.
func (o *originFinder) next(spans []int, from int64) int32 {
	at, _ := slices.BinarySearchFunc(spans, from, func(i int, from int64) int {
		if o.tree.Nodes[i].Start < from {
			return -1
		}
		return 1
	})
	if at == len(spans) {
		return 0
	}
	return int32(spans[at]) + 1
}

// kind tells failures apart: by what the span says, then by what is missing below it.
func (o *originFinder) kind(i int) ErrorKind {
	n := &o.tree.Nodes[i]
	client := n.Kind() == clientKind
	answered := client && o.reached(i)
	switch {
	case !answered && says(n, unreachableWords):
		return ErrorUnreachable
	case o.ways[i].timeout:
		return ErrorTimeout
	case saysCancelled(n):
		return ErrorCancelled
	case client && !answered && o.noAnswer(i):
		return ErrorUnreachable
	}
	return ErrorFailure
}

// noAnswer says whether a failed client span without a server span got no answer: there is no code of one, though there would be. gRPC's
// UNAVAILABLE is the client's own.
func (o *originFinder) noAnswer(i int) bool {
	facts := conventions.ReadSpan(o.tree.Nodes[i].Span.Span)
	if facts.Database() || facts.Messaging() || facts.Storage() {
		return false // they leave no server span, and their libraries write codes only of some answers
	}
	code, grpc := facts.Response.GRPC()
	if grpc {
		return code == conventions.GRPCUnavailable
	}
	if statusCode(o.tree.Nodes[i].Attributes()) != "" {
		return false
	}
	named, _ := facts.Peer()
	return facts.HTTPCall() || facts.RPC() || o.sends(named) || conventions.InsideHost(facts.Host())
}

var (
	unreachableWords = []string{
		"connection refused", "connectionrefused", "econnrefused", "no such host", "unknownhost", "enotfound", "eai_again", "gaierror",
		"name resolution", "name or service not known", "nameresolution", "no route to host", "ehostunreach", "enetunreach", "noroutetohost",
		"network is unreachable", "host is unreachable",
	}
	cancelledWords = []string{"cancelled", "canceled", "cancellation"}
	timeoutWords   = []string{"timeout", "timed out", "deadline"}
)

// maxReason is how much of a text, in bytes, is searched for a reason.
const maxReason = 512

// says whether the reasons that a failed span gives have one of the words, which are in lower case.
func says(n *tracetree.Node, words []string) bool {
	exception, message := lastException(n)
	for _, text := range [...]string{conventions.Str(n.Attributes(), "error.type"), n.Status().Message(), exception, message} {
		text = strings.ToLower(text[:min(len(text), maxReason)])
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) }) {
			return true
		}
	}
	return false
}

// saysTimeout says whether a failed span gives a time limit as its reason.
func saysTimeout(n *tracetree.Node) bool {
	for _, code := range [...]string{conventions.Str(n.Attributes(), "error.type"), statusCode(n.Attributes())} {
		switch code {
		case "504", "408", "4", "DEADLINE_EXCEEDED", "deadline_exceeded": // HTTP, HTTP, gRPC
			return true
		}
	}
	return says(n, timeoutWords)
}

// saysCancelled says whether a failed span gives as its reason that its caller no longer wanted it.
func saysCancelled(n *tracetree.Node) bool {
	switch statusCode(n.Attributes()) {
	case "499", "1": // nginx, gRPC
		return true
	case "CANCELLED", "canceled":
		return true
	}
	return says(n, cancelledWords)
}
