package analysis

import (
	"cmp"
	"slices"

	"github.com/tracewright/tracewright/internal/attributes"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// spanRead is what a span says by itself. Its attributes are not read again, but of spans that are annotated or fail.
type spanRead struct {
	operation string
	category  string           // if no span answers it
	peer      conventions.Peer // whom it calls, if no span answers
	faults    faults
	weight    float64
	source    int32 // see sources

	failed, failing bool
	annotated       bool // an attribute under conventions.Prefix stands on it
	conflict        bool // see tracetree.MarkedConflict
}

// spanReader reads spans in the same memory again and again.
type spanReader struct {
	reads      []spanRead
	sources    sources
	facts      conventions.SpanFacts
	states     stateReader
	operations conventions.Operations
}

// read reads the spans of a release. business is Analyzer.Business. What it gives is valid until the next call.
func (r *spanReader) read(spans []tracetree.Span, business []string) []spanRead {
	r.sources.start()
	clear(r.reads)
	r.reads = slices.Grow(r.reads[:0], len(spans))[:len(spans)]
	for i := range spans {
		if i+1 < len(spans) {
			attributes.PrefetchValues(spans[i+1].Attributes())
		}
		r.readSpan(&r.reads[i], &spans[i], business)
	}
	return r.reads
}

func (r *spanReader) readSpan(to *spanRead, span *tracetree.Span, business []string) {
	at := r.sources.of(span)
	source, facts := &r.sources.list[at], &r.facts
	facts.Read(span.Span)
	facts.ReadBusiness(span.Attributes(), business)
	found := r.states.read(span.TraceState())
	weight := cmp.Or(r.states.weight, 1) // before that of a link is read
	failed, kind := failed(span.Span), span.Kind()
	*to = spanRead{
		operation: r.operations.Named(span.Name(), span.Kind(), facts.Route),
		category:  facts.Category(source.origin, false),
		faults:    source.faults | attributeFaults(facts.Faults()) | found | readFaults(span.Span, &r.states),
		weight:    weight,
		source:    at,
		failed:    failed,
		failing:   failed || failsUnsaid(span.Span, &facts.Response),
		annotated: facts.Annotated(),
	}
	if conventions.Calling(kind) {
		to.peer = facts.ReadPeer()
	}
	if facts.WrongType() {
		to.faults |= wrongAttributeType
	}
	to.conflict = to.annotated && tracetree.MarkedConflict(span.Attributes())
}

// reset lets go of what was read.
func (r *spanReader) reset() {
	clear(r.reads)
	r.sources.reset()
	r.facts, r.states = conventions.SpanFacts{}, stateReader{}
}
