package api

import (
	"bytes"
	"io"
	"net/http"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/formats"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
)

// GetTrace answers with one trace.
func (h *handler) GetTrace(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetTraceParams
	p := requestParser{faults: bindParameters(r, &parameters)}
	format := oneOf(&p, "format", parameters.Format, []string{"otlp", "jaeger", "zipkin"})
	view := p.view(&parameters)
	id := p.traceID(r.PathValue("id"))
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	read := h.Service.Trace
	if view.brief() {
		read = h.Service.TraceForView
	}
	trace, err := read(r.Context(), tenant, id)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	w.Header().Set("Vary", "Accept")
	media, protobuf := wantsProtobuf(r.Header.Values("Accept"))
	switch {
	case format == "jaeger":
		h.writeForeign(w, r, trace, func(out io.Writer) error { return formats.WriteJaeger(out, trace.Spans, warnings(trace)) })
	case format == "zipkin":
		h.writeForeign(w, r, trace, func(out io.Writer) error { return formats.WriteZipkin(out, trace.Spans) })
	case protobuf && (format == "otlp" || !view.brief()):
		h.writeOTLP(w, r, trace, media)
	case format == "otlp":
		h.writeOTLP(w, r, trace, "application/json")
	default:
		h.writeExplained(w, trace, &view)
	}
}

// traceID is the id in the path.
func (p *requestParser) traceID(text string) pcommon.TraceID {
	id, err := parseTraceID(text)
	if err != nil {
		p.fault("id", "%s", err)
	}
	return id
}

func (h *handler) writeExplained(w http.ResponseWriter, trace *query.Trace, view *traceView) {
	answer, found := newTraceAnswer(trace, view, h.Links)
	if !found {
		newProblem(http.StatusNotFound, fault{"span_id", "trace " + trace.ID.String() + " has no span " + view.span.String()}).write(w)
		return
	}
	beginAnswer(w, "application/json")
	// The answer streams: what fails from here on is the connection, and nobody is left to tell.
	_ = answer.write(w, trace)
}

// warnings are what there is to know of the trace where a format has a place for it.
func warnings(trace *query.Trace) (warnings []string) {
	for _, reason := range trace.Wholeness().Missing {
		warnings = append(warnings, reason.Message)
	}
	return warnings
}

// writeForeign answers in the JSON of another system.
func (h *handler) writeForeign(w http.ResponseWriter, r *http.Request, trace *query.Trace, write func(out io.Writer) error) {
	trace.Annotate()
	flattenTraces(trace.Spans)
	setTruncated(w, trace)
	out := &answerWriter{ResponseWriter: w}
	if err := write(out); err != nil && !out.begun {
		h.writeFailure(w, r, err)
	}
}

// answerWriter begins a good answer in JSON with its first byte.
type answerWriter struct {
	http.ResponseWriter
	begun bool
}

func (a *answerWriter) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		beginAnswer(a.ResponseWriter, "application/json")
	}
	return a.ResponseWriter.Write(p)
}

// truncatedHeader marks an answer in another format that lacks spans of a trace too large to be read whole: these have no member for it.
const truncatedHeader = "X-Tracewright-Truncated"

func setTruncated(w http.ResponseWriter, trace *query.Trace) {
	if trace.Truncated {
		w.Header().Set(truncatedHeader, "true")
	}
}

// writeOTLP answers in OTLP's JSON or protobuf. The marshaller of JSON copies text as it is; text that is not UTF-8 is mended in the finished
// JSON, where it can stand only within strings. Values that are nested too deeply become text, as in the other answer: each
// level of theirs is three of JSON, and OTLP's own reader gives up at 10,000.
func (h *handler) writeOTLP(w http.ResponseWriter, r *http.Request, trace *query.Trace, media string) {
	trace.Annotate()
	flattenTraces(trace.Spans)
	var body []byte
	var err error
	if media == "application/json" {
		body, err = (&ptrace.JSONMarshaler{}).MarshalTraces(trace.Spans)
		if !utf8.Valid(body) {
			body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
		}
	} else {
		body, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(trace.Spans)
	}
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	setTruncated(w, trace)
	beginAnswer(w, media)
	_, _ = w.Write(body) // what fails is the connection: nobody is left to tell
}

// beginAnswer begins a good answer that streams.
func beginAnswer(w http.ResponseWriter, media string) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(http.StatusOK)
}
