package api

import (
	"bytes"
	"net/http"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
)

// GetTrace answers with one trace.
func (h *handler) GetTrace(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetTraceParams
	faults := bindParameters(r, &parameters)
	if parameters.Format != nil && *parameters.Format != openapi.GetTraceParamsFormatOtlp {
		faults = append(faults, fault{"format", "must be otlp; leave it out for the trace explained"})
	}
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		faults = append(faults, fault{"id", err.Error()})
	}
	tenant, ok := h.accepted(w, r, faults)
	if !ok {
		return
	}
	trace, err := h.Service.Trace(r.Context(), tenant, id)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	if parameters.Format != nil {
		h.writeOTLP(w, r, trace)
		return
	}
	beginAnswer(w)
	// The answer streams: what fails from here on is the connection, and nobody is left to tell.
	_ = writeTrace(w, trace)
}

// truncatedHeader marks an OTLP answer that lacks spans of a trace too large to be read whole; OTLP has no member for it.
const truncatedHeader = "X-Tracewright-Truncated"

// writeOTLP answers in OTLP's JSON. Its marshaller copies text as it is; text that is not UTF-8 is mended in the finished
// JSON, where it can stand only within strings. Values that are nested too deeply become text, as in the other answer: each
// level of theirs is three of JSON, and OTLP's own reader gives up at 10,000.
func (h *handler) writeOTLP(w http.ResponseWriter, r *http.Request, trace *query.Trace) {
	trace.Annotate()
	flattenTraces(trace.Spans)
	marshaler := ptrace.JSONMarshaler{}
	body, err := marshaler.MarshalTraces(trace.Spans)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if trace.Truncated {
		w.Header().Set(truncatedHeader, "true")
	}
	beginAnswer(w)
	_, _ = w.Write(body) // what fails is the connection: nobody is left to tell
}

// beginAnswer begins a good answer in JSON that streams.
func beginAnswer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
}
