package analysis

import (
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Result is what is known of one release. Times are Unix nanoseconds after skew correction, durations nanoseconds.
type Result struct {
	Tree *tracetree.Tree
	// EntryService and EntryOperation are where the request entered the system: the entry root's, or what trace_assembly wrote on
	// a release that holds only a part of its trace. EntryOperation is the low-cardinality name.
	EntryService, EntryOperation string
	// Start is the first start, Duration the last end minus Start.
	Start, Duration int64
	// RootDuration is the entry root's duration.
	RootDuration int64
	// SpanCount leaves out duplicates.
	SpanCount  int
	ErrorCount int
	// MissingParents counts the parents that spans name and that are not there; on a release that holds only a part of its
	// trace it is what trace_assembly wrote, which knows of the other releases.
	MissingParents int
	// Services is sorted.
	Services []string
	// Path is the critical path of the entry root: in time order, disjoint, adding up to RootDuration. It is empty unless the
	// release is whole.
	Path []Segment
	// Bottleneck is the node that holds most of the path, -1 where there is none, and BottleneckShare how much of it, 0 to 1.
	Bottleneck      int
	BottleneckShare float64
	// Spans are in the order of the tree's nodes.
	Spans []SpanResult

	holder int // the span that carries what concerns the release, -1 if it is empty
	reads  []spanRead
	calls  atomic.Pointer[calls]
}

// SpanResult is what is known of one span.
type SpanResult struct {
	// Service and Operation are the names that aggregates use.
	Service, Operation string
	// Category is one of the conventions.Category constants.
	Category string
	// PeerService and PeerKind name what a client or producer span calls where no span of another service answers it.
	PeerService, PeerKind string
	// ParentService and ParentOperation are those of the parent where it is another service.
	ParentService, ParentOperation string
	// Orphan says that the span's parent was not released before the span, nor with it.
	Orphan bool
	// Weight is the adjusted count: how many spans this one stands for, by its sampling. 1 where the sender does not say.
	Weight float64
	// SelfTime is the time in which none of the span's blocking children ran.
	SelfTime int64
	// CriticalPathTime is the time for which the span itself holds the critical path.
	CriticalPathTime int64
	// Failed says that the span is an error: its status says so. ErrorCount and the aggregates count these.
	Failed bool
	// Failing says that the span failed by its status or, where that is unset, by its status code of HTTP or gRPC or an exception.
	Failing bool
	// ErrorOrigin says that a failure began with the span: it is Failing, and none of its children is.
	ErrorOrigin bool
	// Fingerprint groups the same failure over traces: 16 hex digits on an ErrorOrigin, else empty.
	Fingerprint string
	// Violations are the names of the rules that the span breaks, sorted; those that stand on the span already among them.
	Violations []string

	renamed bool // Service is not the one that the resource names
}

// Analyze explains a release. It changes nothing. The result refers to the release's spans.
func Analyze(release *tracetree.Release) *Result { return new(Analyzer).Analyze(release) }

// Analyzer explains one release after the other in the same memory. It remembers what resources and scopes say: they must not change
// between two releases that share them, unless Reset stands between. The zero value is ready. It is not safe for concurrent use.
type Analyzer struct {
	// Business are the attributes that name a business operation, besides business.operation.
	Business []string

	reader   spanReader
	builder  tracetree.Builder
	result   Result
	marks    []mark
	walker   pathWalker
	services []string
	peers    conventions.PeerNames
	message  []byte // a message while it is normalised

	annotator annotator
}

// mark is what a span's children say of it.
type mark struct {
	answered    bool // by a child in another service
	failedBelow bool // a child is Failing
}

// Analyze is like the function Analyze, but the result lives in the analyzer's memory: it is valid until the next call.
func (a *Analyzer) Analyze(release *tracetree.Release) *Result {
	return a.explain(release, a.reader.read(release.Spans, a.Business))
}

// Annotate explains a release whose Assembly is not read yet, and writes on its spans what the function Annotate does.
func (a *Analyzer) Annotate(release *tracetree.Release) {
	reads := a.reader.read(release.Spans, a.Business)
	for i := range reads {
		if !reads[i].annotated {
			continue
		}
		if release.Assembly = tracetree.ReadAssembly(release.Spans[i]); release.Version != 0 {
			break
		}
	}
	a.annotator.annotate(release, a.explain(release, reads))
}

// explain works on what was read of the release's spans.
func (a *Analyzer) explain(release *tracetree.Release, reads []spanRead) *Result {
	tree := a.builder.BuildMarked(release.Spans, func(i int) bool { return reads[i].conflict })
	clear(a.marks)
	if last := a.result.Spans; len(last) > len(reads) {
		clear(last[len(reads):]) // what link does not write anew would keep its release alive
	}
	clear(a.result.Services)
	a.result.Spans = slices.Grow(a.result.Spans[:0], len(reads))[:len(reads)]
	a.marks = slices.Grow(a.marks[:0], len(reads))[:len(reads)]
	r := &a.result
	*r = Result{
		Tree:           tree,
		Start:          tree.Start,
		Duration:       tree.End - tree.Start,
		MissingParents: tree.MissingParents,
		Services:       r.Services[:0],
		Path:           r.Path[:0],
		Bottleneck:     -1,
		Spans:          r.Spans,
		holder:         holder(release, tree),
		reads:          reads,
	}
	a.link(reads)
	if tree.Entry >= 0 {
		entry := &r.Spans[tree.Entry]
		r.EntryService, r.EntryOperation = entry.Service, entry.Operation
		r.RootDuration = tree.Nodes[tree.Entry].Duration()
	}
	if release.Whole() {
		for i := range tree.Nodes {
			r.Spans[i].Orphan = tree.Nodes[i].MissingParent
		}
	} else {
		a.takeFromAssembly()
	}
	for i := range tree.Nodes {
		a.conclude(i, &reads[i], release.ReleasedAt)
	}
	if release.Whole() {
		a.criticalPath(tree)
	}
	return r
}

// Reset lets go of the releases, which the analyzer's memory otherwise keeps alive.
func (a *Analyzer) Reset() {
	a.reader.reset()
	a.builder.Reset()
	clear(a.result.Spans)
	clear(a.result.Services)
	a.result = Result{Services: a.result.Services[:0], Path: a.result.Path[:0], Spans: a.result.Spans[:0]}
	clear(a.services[:cap(a.services)])
	a.annotator.Reset()
}

// link looks at every parent and child, and adds up what is in the tree.
func (a *Analyzer) link(reads []spanRead) {
	r := &a.result
	nodes, spans := r.Tree.Nodes, r.Spans
	for i := range spans {
		read := &reads[i]
		source := &a.reader.sources.list[read.source]
		spans[i] = SpanResult{
			Service: source.service, renamed: source.renamed, Operation: read.operation, Category: read.category, Failed: read.failed,
			Failing: read.failing, Weight: read.weight,
		}
	}
	a.services = a.services[:0]
	for i := range nodes {
		n, s := &nodes[i], &spans[i]
		if !n.Duplicate {
			r.SpanCount++
		}
		if !n.InTree() {
			continue
		}
		if s.Failed {
			r.ErrorCount++
		}
		if len(a.services) == 0 || a.services[len(a.services)-1] != s.Service {
			a.services = append(a.services, s.Service)
		}
		if n.Parent < 0 {
			continue
		}
		above, parent := &a.marks[n.Parent], &spans[n.Parent]
		above.failedBelow = above.failedBelow || s.Failing
		if s.Service != parent.Service {
			above.answered = true
			s.ParentService, s.ParentOperation = parent.Service, parent.Operation
		}
	}
	slices.Sort(a.services)
	r.Services = append(r.Services, slices.Compact(a.services)...)
}

// conclude finds what hangs on the span's place in the tree, and in time.
func (a *Analyzer) conclude(i int, read *spanRead, releasedAt int64) {
	n, s, m := &a.result.Tree.Nodes[i], &a.result.Spans[i], &a.marks[i]
	if m.answered {
		s.Category = conventions.Answered(s.Category)
	}
	if found := read.faults | placeFaults(n, releasedAt); found != 0 || read.annotated {
		s.Violations = violations(n.Span.Span, found, read.annotated)
	}
	if !n.InTree() {
		return
	}
	if !m.answered {
		s.PeerService, s.PeerKind = a.peers.Short(read.peer), read.peer.Kind
	}
	if s.Failing && !m.failedBelow { // here a failure began
		s.ErrorOrigin = true
		s.Fingerprint = a.fingerprint(n, s)
	}
	s.SelfTime = selfTime(a.result.Tree, i)
}

// takeFromAssembly takes what trace_assembly wrote on a release that holds only a part of its trace: it remembers the other
// releases. Where it wrote nothing, what the release itself says stands, but for missing parents: there, nothing means none.
func (a *Analyzer) takeFromAssembly() {
	r := &a.result
	if r.holder >= 0 {
		count, _ := getInt(r.Tree.Nodes[r.holder].Attributes(), conventions.AttrMissingParents)
		r.MissingParents = int(max(0, count))
	}
	entry := false
	for i := range r.Tree.Nodes {
		attrs, s := r.Tree.Nodes[i].Attributes(), &r.Spans[i]
		if !r.reads[i].annotated {
			continue
		}
		if service := conventions.Str(attrs, conventions.AttrEntryService); service != "" && !entry {
			entry = true
			r.EntryService, r.EntryOperation = service, conventions.Str(attrs, conventions.AttrEntryOperation)
		}
		if service := conventions.Str(attrs, conventions.AttrParentService); service != "" {
			s.ParentService, s.ParentOperation = service, conventions.Str(attrs, conventions.AttrParentOperation)
		}
		s.Orphan = isTrue(attrs, conventions.AttrOrphan)
		_, children := attrs.Get(conventions.AttrChildService)
		if children || isTrue(attrs, conventions.AttrAnswered) {
			a.marks[i].answered = true
		}
	}
}

// holder is the span that carries what concerns the release as a whole: the one on which trace_assembly wrote its version,
// else the entry root, else the first span.
func holder(release *tracetree.Release, tree *tracetree.Tree) int {
	if release.Version > 0 && !release.Joined {
		carries := func(i int) bool {
			_, ok := getInt(tree.Nodes[i].Attributes(), conventions.AttrVersion)
			return ok
		}
		if tree.Entry >= 0 && carries(tree.Entry) {
			return tree.Entry
		}
		for i := range tree.Nodes {
			if carries(i) {
				return i
			}
		}
	}
	if tree.Entry < 0 && len(tree.Nodes) > 0 {
		return 0
	}
	return tree.Entry
}

func isTrue(attrs pcommon.Map, key string) bool {
	v, ok := attrs.Get(key)
	return ok && v.Type() == pcommon.ValueTypeBool && v.Bool()
}

func getInt(attrs pcommon.Map, key string) (int64, bool) {
	if v, ok := attrs.Get(key); ok && v.Type() == pcommon.ValueTypeInt {
		return v.Int(), true
	}
	return 0, false
}
