package tracetree

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Span is one span of a trace together with what it hangs on. It refers into pdata that somebody else owns: it is valid
// as long as that pdata is, and writing through it writes there.
type Span struct {
	ptrace.Span

	Resource       pcommon.Resource
	Scope          pcommon.InstrumentationScope
	SchemaURL      string // of the resource spans
	ScopeSchemaURL string // of the scope spans
	// Place is the number of its ScopeSpans in the call, where Releases grouped it: a hint for who keeps something of each, no more.
	Place int32
}

// Service is the name of the span's service: service.name, or "unknown_service" where the sender named none.
func (s Span) Service() string { return conventions.ServiceName(s.Resource) }

// Assembly is what trace_assembly says of a release; the zero value stands where no trace_assembly stood before.
type Assembly struct {
	Outcome string // one of the Outcome constants, or empty
	Version int    // 1, 2, … for each release of a trace
	Part    int    // 0, 1, … of an oversized trace
}

// Release is the spans of one trace within one call: a whole trace, a part of an oversized one, an interim state of an open
// one, or a late fragment.
type Release struct {
	Assembly
	Tenant     string
	TraceID    pcommon.TraceID
	ReleasedAt int64  // Unix nanoseconds; 0 where unknown
	Spans      []Span // in their order in the call
	// Joined says that Join put all the stored releases of a trace together: First and Whole, whatever its Version.
	Joined bool
}

// First says whether the release is the one that counts its trace's entry: version 1, part 0, a release that no
// trace_assembly made, or a joined trace.
func (r *Release) First() bool { return r.Joined || r.Version <= 1 && r.Part == 0 }

// Whole says whether the release holds a whole trace as far as assembly knew: the one kind that has a critical path.
func (r *Release) Whole() bool {
	return r.Joined || r.First() && r.Outcome != conventions.OutcomePart && r.Outcome != conventions.OutcomeInterim &&
		r.Outcome != conventions.OutcomeLate
}

// ReadAssembly is what trace_assembly wrote on a span; the zero value where it is not the one that speaks for its release.
func ReadAssembly(span Span) Assembly {
	attrs := span.Attributes()
	version := conventions.Int(attrs, conventions.AttrVersion)
	if version == 0 {
		return Assembly{}
	}
	return Assembly{
		Outcome: conventions.Str(attrs, conventions.AttrOutcome),
		Version: int(version),
		Part:    int(conventions.Int(attrs, conventions.AttrPart)),
	}
}
