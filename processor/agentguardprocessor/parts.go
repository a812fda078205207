package agentguardprocessor

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// weights are what is counted besides the bytes of OTLP.
const (
	// copyWeight is for each resource with a scope: what k8s_attributes and the tenant add to it, some 3 KiB, and what it takes in memory.
	copyWeight = 4 << 10
	// spanWeight is for each span: an empty one has two bytes, and some hundred times as many in memory.
	spanWeight = 256
)

var sizer ptrace.ProtoMarshaler

// weigh is what a request becomes when its resources are copied for each of their scopes.
func weigh(td ptrace.Traces) int {
	weight := td.SpanCount() * spanWeight
	for _, rs := range td.ResourceSpans().All() {
		head, scopes := weighResource(rs)
		weight += head*max(1, rs.ScopeSpans().Len()) + scopes
	}
	return weight
}

// weighResource is the weight of a resource without its scopes, and what these take with their spans.
func weighResource(rs ptrace.ResourceSpans) (head, scopes int) {
	for _, ss := range rs.ScopeSpans().All() {
		scopes += sizer.ScopeSpansSize(ss)
	}
	return copyWeight + sizer.ResourceSpansSize(rs) - scopes, scopes
}

// scopeHead is the weight of a scope without its spans.
func scopeHead(ss ptrace.ScopeSpans) int {
	head := sizer.ScopeSpansSize(ss)
	for _, span := range ss.Spans().All() {
		head -= sizer.SpanSize(span)
	}
	return head
}

// parts moves the spans of td into requests that weigh at most most each, besides one resource with its scope and the first span: a part has at
// least these, and parts of a large resource would be little but that again and again. What has no spans is left out.
func parts(td ptrace.Traces, most int) iter.Seq[ptrace.Traces] {
	return func(yield func(ptrace.Traces) bool) {
		var p part
		for _, rs := range td.ResourceSpans().All() {
			head, _ := weighResource(rs)
			p.resource = nil
			for _, ss := range rs.ScopeSpans().All() {
				opening := head + scopeHead(ss)
				p.scope = nil
				for _, span := range ss.Spans().All() {
					weight := sizer.SpanSize(span) + spanWeight
					if p.scope == nil {
						weight += opening
					}
					if p.begun && weight > p.left {
						if !yield(p.traces) {
							return
						}
						p = part{}
					}
					if p.begun {
						p.left -= weight
					} else {
						p = part{traces: ptrace.NewTraces(), begun: true, left: most}
					}
					span.MoveTo(p.open(rs, ss).AppendEmpty())
				}
			}
		}
		if p.begun {
			yield(p.traces)
		}
	}
}

// part is a request that is filled. resource and scope are where the spans of those that are read go, nil where it has them not yet.
type part struct {
	traces   ptrace.Traces
	begun    bool
	left     int
	resource *ptrace.ResourceSpans
	scope    *ptrace.ScopeSpans
}

func (p *part) open(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) ptrace.SpanSlice {
	if p.resource == nil {
		to := p.traces.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(to.Resource())
		to.SetSchemaUrl(rs.SchemaUrl())
		p.resource = &to
	}
	if p.scope == nil {
		to := p.resource.ScopeSpans().AppendEmpty()
		ss.Scope().CopyTo(to.Scope())
		to.SetSchemaUrl(ss.SchemaUrl())
		p.scope = &to
	}
	return p.scope.Spans()
}
