package rootcause

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Summarize reduces an analysed trace to its calls. What lies outside of the tree is left out. It takes O(n) time.
func Summarize(r *analysis.Result) Trace {
	t := Trace{Entry: Operation{r.EntryService, r.EntryOperation}, Duration: r.RootDuration}
	if r.Tree.Entry >= 0 {
		t.Failed = r.Spans[r.Tree.Entry].Failing
	}
	s := summarizer{r: r, tree: r.Tree, trace: &t, of: make([]int, len(r.Spans)), answer: make([]int, len(r.Spans))}
	order := append(make([]int, 0, len(r.Spans)), r.Tree.Roots...)
	for at := 0; at < len(order); at++ { // parents before children
		s.answer[order[at]] = analysis.AnswerOf(r.Tree, order[at])
		s.add(order[at])
		order = append(order, r.Tree.Children(order[at])...)
	}
	for _, i := range order {
		s.takePauses(i)
	}
	for i := range t.Calls {
		c := &t.Calls[i]
		c.Own, c.OwnPath = max(0, c.Own), max(0, c.OwnPath)
	}
	return t
}

type summarizer struct {
	r     *analysis.Result
	tree  *tracetree.Tree
	trace *Trace
	// By node: the call that it belongs to, and the first server span below a client span, else -1.
	of, answer []int
}

// add puts a span into its call: that of its parent where it is the same service at work, else a new one.
func (s *summarizer) add(i int) {
	n, span := &s.tree.Nodes[i], &s.r.Spans[i]
	caller := -1
	if n.Parent >= 0 {
		caller = s.of[n.Parent]
	}
	serves := n.Kind() == ptrace.SpanKindServer || n.Kind() == ptrace.SpanKindConsumer
	virtual := span.PeerService != "" && s.answer[i] < 0
	callee := Operation{span.Service, span.Operation}
	if virtual {
		callee.Service = span.PeerService
	}
	switch {
	case virtual && caller < 0: // a client that nobody called: its service is not seen at work
		s.open(i, -1, Operation{span.Service, span.Operation}, false)
		s.trace.Calls[s.of[i]].Failed = span.Failing
		s.open(i, s.of[i], callee, true)
	case caller < 0 || virtual || serves || s.r.Spans[n.Parent].Service != span.Service:
		s.open(i, caller, callee, virtual)
	default:
		s.of[i] = caller
	}
	c := &s.trace.Calls[s.of[i]]
	if span.ErrorOrigin {
		c.Origin = true
	}
	if s.answer[i] >= 0 {
		return // its time is that between the two: the wait of what answers
	}
	c.Own += span.SelfTime
	c.OwnPath += span.CriticalPathTime
}

func (s *summarizer) open(i, caller int, callee Operation, virtual bool) {
	n, span := &s.tree.Nodes[i], &s.r.Spans[i]
	s.of[i] = len(s.trace.Calls)
	c := Call{Caller: caller, Callee: callee, Virtual: virtual, Failed: span.Failing}
	if p := n.Parent; p >= 0 && s.answer[p] == i {
		c.Wait, c.WaitPath = s.r.Spans[p].SelfTime, s.r.Spans[p].CriticalPathTime
	}
	s.trace.Calls = append(s.trace.Calls, c)
}

// takePauses moves the time between a failed call and the same call tried again from the caller's own time to the callee's wait.
//
//	checkout  |---------------------|
//	 reserve    |-- failed   |----|
//	                      ---          the pause
func (s *summarizer) takePauses(i int) {
	n, children := &s.tree.Nodes[i], s.tree.Children(i)
	covered := n.Start
	for at, c := range children {
		child := &s.tree.Nodes[c]
		if gap := child.Start - covered; at > 0 && gap > 0 && child.Start < n.End {
			if failed := s.failedBefore(children[:at], c); failed >= 0 {
				s.movePause(i, failed, c, gap)
			}
		}
		covered = max(covered, child.End)
	}
}

// failedBefore is the last of the calls before that failed and that asked for the same as the call again, else -1.
func (s *summarizer) failedBefore(before []int, again int) int {
	const far = 4 // as many calls back; between a try and the next there is mostly none
	for at := len(before) - 1; at >= max(0, len(before)-far); at-- {
		c := before[at]
		if s.r.Spans[c].Failing && s.r.Spans[c].Operation == s.r.Spans[again].Operation &&
			s.tree.Nodes[c].Kind() == s.tree.Nodes[again].Kind() && s.callee(c) == s.callee(again) {
			return c
		}
	}
	return -1
}

// callee is whom a span below its caller asks.
func (s *summarizer) callee(i int) Operation {
	if s.answer[i] >= 0 {
		i = s.answer[i]
	}
	return s.trace.Calls[s.of[i]].Callee
}

func (s *summarizer) movePause(caller, failed, again int, pause int64) {
	if s.answer[failed] >= 0 {
		failed = s.answer[failed]
	}
	from, to := &s.trace.Calls[s.of[caller]], &s.trace.Calls[s.of[failed]]
	if from == to { // within a service
		return
	}
	from.Own -= pause
	to.Wait += pause
	answer := s.answer[again]
	if s.r.Spans[again].CriticalPathTime > 0 || answer >= 0 && s.r.Spans[answer].CriticalPathTime > 0 {
		from.OwnPath -= pause
		to.WaitPath += pause
	}
}
