package api

import (
	"cmp"
	"io"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
)

// traceAnswer writes a trace as the answer of GET /traces/{id}. It refers into the trace and copies no span, so that
// a trace of a hundred thousand spans costs no more memory than it has itself.
type traceAnswer struct {
	*jsonWriter
	analysis *analysis.Result
	leeways  []analysis.Leeway
	view     *traceView
	// order lists the spans (node indexes) of the view by start, parents before their children; total is how many there are
	// before it is cut.
	order []int
	total int
	// correlations are the links to other systems.
	correlations *Links
	// resources are the distinct ones, ready as JSON, in the order in which order first needs them.
	resources []string
	// resourceOf is the index into resources; spans of one resource in pdata share the handle.
	resourceOf map[pcommon.Resource]int
}

// newTraceAnswer makes one; found is false where the view is of a span that the trace has not.
func newTraceAnswer(trace *query.Trace, view *traceView, links *Links) (a *traceAnswer, found bool) {
	a = &traceAnswer{analysis: trace.Analysis, view: view, correlations: links}
	if a.order, a.total, found = view.spans(trace); !found {
		return nil, false
	}
	if !view.summary {
		a.leeways = trace.Leeways()
		a.findResources()
	}
	return a, true
}

// write writes the answer to out; the error is out's.
func (a *traceAnswer) write(out io.Writer, trace *query.Trace) error {
	a.jsonWriter = newJSONWriter(out)
	defer a.done()
	a.open("{")
	a.summary(trace)
	a.wholeness(trace.Wholeness())
	a.correlationLinks(a.correlations.ofTrace(trace))
	a.criticalPath()
	a.bottleneck(trace.UsualSelfTime)
	if err := a.errorOrigins(trace.Origins()); err != nil {
		return err
	}
	a.findings(trace.Findings())
	if !a.view.summary {
		a.spanWindow()
		if err := a.resourcesAndSpans(); err != nil {
			return err
		}
	}
	a.close("}")
	a.stream.WriteRaw("\n")
	return a.stream.Flush()
}

func (a *traceAnswer) resourcesAndSpans() error {
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
	return nil
}

// spanWindow says which spans are answered, where these are not all.
func (a *traceAnswer) spanWindow() {
	if !a.view.windowed {
		return
	}
	a.key("span_window")
	a.open("{")
	a.intMember("offset", int64(a.view.offset))
	a.intMember("count", int64(len(a.order)))
	a.intMember("total", int64(a.total))
	if next := a.view.offset + len(a.order); len(a.order) > 0 && next < a.total {
		a.intMember("next_offset", int64(next))
	}
	a.close("}")
}

// wholeness says whether all of the trace is there.
func (a *traceAnswer) wholeness(w query.Wholeness) {
	a.key("completeness")
	a.open("{")
	a.key("complete")
	a.bool(len(w.Missing) == 0)
	for _, list := range []struct {
		name    string
		remarks []query.Remark
	}{{"reasons", w.Missing}, {"remarks", w.Remarks}} {
		a.key(list.name)
		a.open("[")
		for _, remark := range list.remarks {
			a.open("{")
			a.textMember("kind", string(remark.Kind))
			a.intMember("count", int64(remark.Count))
			a.textMember("message", remark.Message)
			a.close("}")
		}
		a.close("]")
	}
	a.close("}")
}

// brief is how many of n the answer may have, as it is bounded or not.
func (a *traceAnswer) brief(n int) int {
	if a.view.brief() {
		return min(n, maxBriefList)
	}
	return n
}

// longest are the longest segments of the critical path, in time order, as many as the answer may have.
func (a *traceAnswer) longest() []int {
	path := a.analysis.Path
	order := make([]int, len(path))
	for i := range order {
		order[i] = i
	}
	most := a.brief(len(path))
	if most == len(path) {
		return order
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(path[j].End-path[j].Start, path[i].End-path[i].Start)
	})
	order = order[:most]
	slices.Sort(order)
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
	defer w.done()
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
	if a.view.brief() {
		a.intMember("root_count", int64(len(r.Tree.Roots)))
		a.intMember("critical_path_length", int64(len(r.Path)))
	}
	a.key("roots")
	a.open("[")
	for _, root := range r.Tree.Roots[:a.brief(len(r.Tree.Roots))] {
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
	for _, at := range a.longest() {
		segment := a.analysis.Path[at]
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
	if a.view.brief() {
		a.intMember("error_origin_count", int64(len(origins)))
	}
	a.key("error_origins")
	a.open("[")
	var path []int
	for at := range origins[:a.brief(len(origins))] {
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
