package api

import (
	"io"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// traceAnswer writes a trace as the answer of GET /traces/{id}. It refers into the trace and copies no span, so that
// a trace of a hundred thousand spans costs no more memory than it has itself.
type traceAnswer struct {
	*jsonWriter
	analysis *analysis.Result
	leeways  []analysis.Leeway
	// order lists the spans (node indexes) by start, parents before their children.
	order []int
	// resources are the distinct ones, ready as JSON, in the order in which order first needs them.
	resources []string
	// resourceOf is the index into resources; spans of one resource in pdata share the handle.
	resourceOf map[pcommon.Resource]int
}

// writeTrace writes the answer to out; the error is out's.
func writeTrace(out io.Writer, trace *query.Trace) error {
	a := &traceAnswer{jsonWriter: newJSONWriter(out), analysis: trace.Analysis, leeways: trace.Analysis.Leeways()}
	a.order = startOrder(a.analysis.Tree)
	a.findResources()
	a.open("{")
	a.summary(trace)
	a.criticalPath()
	a.bottleneck(trace.UsualSelfTime)
	if err := a.errorOrigins(trace.Origins()); err != nil {
		return err
	}
	a.findings(trace.Findings())
	a.key("resources")
	a.open("[")
	for _, resource := range a.resources {
		a.raw(resource)
	}
	a.close("]")
	a.key("spans")
	a.open("[")
	for _, i := range a.order {
		a.span(i)
		if err := a.flushFull(); err != nil {
			return err
		}
	}
	a.close("]")
	a.close("}")
	a.stream.WriteRaw("\n")
	return a.stream.Flush()
}

// startOrder sorts the spans by start; of equal ones a parent stands before its children.
func startOrder(tree *tracetree.Tree) []int {
	order := make([]int, 0, len(tree.Nodes))
	// In depth-first order parents stand before their children, and a stable sort keeps that.
	reached := make([]bool, len(tree.Nodes))
	var stack []int
	visit := func(root int) {
		stack = append(stack, root)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if reached[i] {
				continue
			}
			reached[i] = true
			order = append(order, i)
			for _, child := range slices.Backward(tree.Children(i)) {
				stack = append(stack, child)
			}
		}
	}
	for _, root := range tree.Roots {
		visit(root)
	}
	for i := range tree.Nodes { // none is lost, whatever the tree makes of broken input
		visit(i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case tree.Nodes[a].Start < tree.Nodes[b].Start:
			return -1
		case tree.Nodes[a].Start > tree.Nodes[b].Start:
			return 1
		}
		return 0
	})
	return order
}

func (a *traceAnswer) findResources() {
	a.resourceOf = make(map[pcommon.Resource]int)
	indexes := make(map[string]int)
	for _, i := range a.order {
		node := &a.analysis.Tree.Nodes[i]
		if _, ok := a.resourceOf[node.Resource]; ok {
			continue
		}
		text := resourceJSON(node.Resource, node.SchemaURL)
		index, ok := indexes[text]
		if !ok {
			index = len(a.resources)
			indexes[text] = index
			a.resources = append(a.resources, text)
		}
		a.resourceOf[node.Resource] = index
	}
}

// resourceJSON leaves our annotations out: they say when a release was made, and would make two of one resource.
func resourceJSON(resource pcommon.Resource, schemaURL string) string {
	w := newJSONWriter(nil)
	w.open("{")
	w.key("attributes")
	w.attributes(resource.Attributes(), conventions.Prefix)
	w.givenInt("dropped_attributes_count", int64(resource.DroppedAttributesCount()))
	w.givenText("schema_url", schemaURL)
	w.close("}")
	return string(w.stream.Buffer())
}

func (a *traceAnswer) summary(trace *query.Trace) {
	r := a.analysis
	a.textMember("trace_id", trace.ID.String())
	a.key("entry")
	a.open("{")
	a.textMember("service", r.EntryService)
	a.textMember("operation", r.EntryOperation)
	a.close("}")
	a.textMember("start", formatTime(r.Start))
	a.intMember("duration_ns", r.Duration)
	a.intMember("root_duration_ns", r.RootDuration)
	a.intMember("span_count", int64(r.SpanCount))
	a.intMember("error_count", int64(r.ErrorCount))
	a.textsMember("services", r.Services)
	a.givenText("outcome", trace.Release.Outcome)
	a.givenInt("version", int64(trace.Release.Version))
	a.intMember("missing_parents", int64(r.MissingParents))
	if trace.Truncated {
		a.key("truncated")
		a.bool(true)
	}
	a.key("roots")
	a.open("[")
	for _, root := range r.Tree.Roots {
		a.text(a.spanID(root))
	}
	a.close("]")
}

func (a *traceAnswer) spanID(i int) string { return a.analysis.Tree.Nodes[i].SpanID().String() }

// reference writes the members by which a span is named outside spans[].
func (a *traceAnswer) reference(i int) {
	a.textMember("span_id", a.spanID(i))
	a.textMember("service", a.analysis.Spans[i].Service)
	a.textMember("operation", a.analysis.Spans[i].Operation)
}

func (a *traceAnswer) criticalPath() {
	a.key("critical_path")
	a.open("[")
	network := a.analysis.NetworkSegments()
	for at, segment := range a.analysis.Path {
		a.open("{")
		a.reference(segment.Span)
		a.intMember("start_ns", segment.Start-a.analysis.Start)
		a.intMember("end_ns", segment.End-a.analysis.Start)
		if network[at] {
			a.key("network")
			a.bool(true)
		}
		a.close("}")
	}
	a.close("]")
}

// bottleneck writes it, and how it compares with what its operation usually takes itself, if that is known.
func (a *traceAnswer) bottleneck(usual int64) {
	i := a.analysis.Bottleneck
	if i < 0 {
		return
	}
	a.key("bottleneck")
	a.open("{")
	a.reference(i)
	a.key("share")
	a.float(a.analysis.BottleneckShare)
	if usual > 0 {
		a.intMember("usual_self_time_ns", usual)
		a.key("times_usual")
		a.float(float64(a.analysis.Spans[i].SelfTime) / float64(usual))
	}
	a.close("}")
}

// errorOrigins can be as many as there are spans, each with a path, so that they are written out as they are made.
func (a *traceAnswer) errorOrigins(origins []analysis.Origin) error {
	a.key("error_origins")
	a.open("[")
	var path []int
	for at := range origins {
		o := &origins[at]
		a.open("{")
		a.reference(o.Span)
		a.textMember("kind", string(o.Kind))
		a.givenText("fingerprint", a.analysis.Spans[o.Span].Fingerprint)
		a.givenText("error_type", o.Type)
		a.givenText("normalized_message", o.Message)
		a.exception(a.analysis.Tree.Nodes[o.Span].Events())
		a.key("path")
		a.open("[")
		path = a.analysis.AppendErrorPath(path[:0], o.Span)
		for _, span := range path {
			a.text(a.spanID(span))
		}
		a.close("]")
		a.intMember("path_length", int64(o.PathLength))
		a.key("reached_entry")
		a.bool(o.ReachedEntry)
		a.absorbed(o)
		if o.CancelledBy >= 0 {
			a.key("cancelled_by")
			a.open("{")
			a.reference(o.CancelledBy)
			a.close("}")
		}
		a.close("}")
		if err := a.flushFull(); err != nil {
			return err
		}
	}
	a.close("]")
	return nil
}

func (a *traceAnswer) absorbed(o *analysis.Origin) {
	if o.Absorbed == "" {
		return
	}
	a.key("absorbed")
	a.open("{")
	a.textMember("how", string(o.Absorbed))
	a.reference(o.AbsorbedBy)
	if o.Retry >= 0 {
		a.textMember("retry_span_id", a.spanID(o.Retry))
	}
	a.close("}")
}

func (a *traceAnswer) findings(findings []analysis.Finding) {
	a.key("findings")
	a.open("[")
	for i := range findings {
		f := &findings[i]
		a.open("{")
		a.textMember("kind", string(f.Kind))
		a.textMember("service", a.analysis.Spans[f.At].Service)
		a.textMember("operation", a.analysis.Spans[f.At].Operation)
		a.textMember("message", f.Message)
		a.intMember("critical_path_ns", f.CriticalPathTime)
		a.givenInt("clock_skew_ns", f.ClockShift)
		a.key("confidence")
		a.float(f.Confidence)
		a.key("span_ids")
		a.open("[")
		for _, span := range f.Spans {
			a.text(a.spanID(span))
		}
		a.close("]")
		a.intMember("span_count", int64(f.SpanCount))
		a.close("}")
	}
	a.close("]")
}

// exception writes the last exception that was recorded: the one that left the span.
func (a *traceAnswer) exception(events ptrace.SpanEventSlice) {
	for i := events.Len() - 1; i >= 0; i-- {
		event := events.At(i)
		if event.Name() != semconv.ExceptionEventName {
			continue
		}
		a.key("exception")
		a.open("{")
		if kind, ok := event.Attributes().Get(string(semconv.ExceptionTypeKey)); ok {
			a.textMember("type", kind.AsString())
		}
		if message, ok := event.Attributes().Get(string(semconv.ExceptionMessageKey)); ok {
			a.textMember("message", message.AsString())
		}
		a.close("}")
		return
	}
}
