package api

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// span writes one element of spans[]. Our annotations are members here and are not repeated among the attributes.
func (a *traceAnswer) span(i int) {
	node, found := &a.analysis.Tree.Nodes[i], &a.analysis.Spans[i]
	a.open("{")
	a.textMember("span_id", node.SpanID().String())
	a.givenText("parent_span_id", node.ParentSpanID().String())
	a.intMember("resource", int64(a.resourceOf[node.Resource]))
	a.scope(node.Scope)
	a.textMember("service", found.Service)
	a.textMember("operation", found.Operation)
	if node.Name() != found.Operation {
		a.textMember("name", node.Name())
	}
	a.textMember("kind", kindName(node.Kind()))
	a.givenText("category", found.Category)
	a.peer(found.PeerService, found.PeerKind)
	a.intMember("start_ns", node.Start-a.analysis.Start)
	a.intMember("duration_ns", node.End-node.Start)
	a.intMember("self_time_ns", found.SelfTime)
	a.intMember("critical_path_ns", found.CriticalPathTime)
	a.intMember("drag_ns", a.leeways[i].Drag)
	if a.leeways[i].Waited {
		a.intMember("slack_ns", a.leeways[i].Slack)
	}
	a.givenInt("clock_skew_ns", node.Shift)
	if a.view.windowed {
		a.intMember("child_count", int64(len(a.analysis.Tree.Children(i))))
	}
	a.status(node.Status())
	a.givenText("tracestate", node.TraceState().AsRaw())
	a.givenInt("flags", int64(node.Flags()))
	a.key("attributes")
	a.attributes(node.Attributes(), conventions.Prefix)
	a.givenInt("dropped_attributes_count", int64(node.DroppedAttributesCount()))
	a.events(node)
	a.links(node.Links())
	a.givenInt("dropped_links_count", int64(node.DroppedLinksCount()))
	a.textsMember("violations", found.Violations)
	a.correlationLinks(a.correlations.ofSpan(a.analysis, i))
	a.close("}")
}

func (a *traceAnswer) scope(scope pcommon.InstrumentationScope) {
	if scope.Name() == "" && scope.Version() == "" {
		return
	}
	a.key("scope")
	a.open("{")
	a.textMember("name", scope.Name())
	a.givenText("version", scope.Version())
	a.close("}")
}

func (a *traceAnswer) peer(service, kind string) {
	if service == "" {
		return
	}
	a.key("peer")
	a.open("{")
	a.textMember("service", service)
	a.givenText("kind", kind)
	a.close("}")
}

// kindName is "unspecified" for kinds that OTLP does not have.
func kindName(kind ptrace.SpanKind) string {
	if kind < 0 || int(kind) >= len(kindNames) {
		kind = ptrace.SpanKindUnspecified
	}
	return kindNames[kind]
}

func (a *traceAnswer) status(status ptrace.Status) {
	code := "unset"
	switch status.Code() {
	case ptrace.StatusCodeOk:
		code = "ok"
	case ptrace.StatusCodeError:
		code = "error"
	}
	a.key("status")
	a.open("{")
	a.textMember("code", code)
	a.givenText("message", status.Message())
	a.close("}")
}

// events writes the span's events; their times are offsets from the trace's start, shifted with their span.
func (a *traceAnswer) events(node *tracetree.Node) {
	a.key("events")
	a.open("[")
	for _, event := range node.Events().All() {
		a.open("{")
		a.textMember("name", event.Name())
		a.intMember("time_ns", a.offset(conventions.Nanoseconds(event.Timestamp()), node.Shift))
		a.key("attributes")
		a.attributes(event.Attributes(), "")
		a.givenInt("dropped_attributes_count", int64(event.DroppedAttributesCount()))
		a.close("}")
	}
	a.close("]")
	a.givenInt("dropped_events_count", int64(node.DroppedEventsCount()))
}

// offset is from the trace's start to a time that is shifted, as far as int64 holds it: an event may say any time.
func (a *traceAnswer) offset(t, shift int64) int64 {
	if shift > math.MaxInt64-t {
		return math.MaxInt64 - a.analysis.Start
	}
	shifted := t + shift // t is not negative
	if shifted < math.MinInt64+a.analysis.Start {
		return math.MinInt64
	}
	return shifted - a.analysis.Start
}

func (a *traceAnswer) links(links ptrace.SpanLinkSlice) {
	a.key("links")
	a.open("[")
	for _, link := range links.All() {
		a.open("{")
		a.textMember("trace_id", link.TraceID().String())
		a.textMember("span_id", link.SpanID().String())
		a.givenText("tracestate", link.TraceState().AsRaw())
		a.givenInt("flags", int64(link.Flags()))
		a.key("attributes")
		a.attributes(link.Attributes(), "")
		a.givenInt("dropped_attributes_count", int64(link.DroppedAttributesCount()))
		a.close("}")
	}
	a.close("]")
}
