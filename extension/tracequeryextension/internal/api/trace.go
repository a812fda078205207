package api

import (
	"bytes"
	"net/http"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
)

// formatOTLP is the one format besides the API's own, which has no name.
const formatOTLP = "otlp"

func (h *handler) getTrace(w http.ResponseWriter, r *http.Request) {
	values, faults := parseParameters(r, "format")
	if values.Has("format") && values.Get("format") != formatOTLP {
		faults = append(faults, fault{"format", "must be " + formatOTLP + "; leave it out for the trace explained"})
	}
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		faults = append(faults, fault{"id", err.Error()})
	}
	if len(faults) > 0 {
		newProblem(http.StatusBadRequest, faults...).write(w)
		return
	}
	tenant, refused := h.tenant(r)
	if refused != nil {
		refused.write(w)
		return
	}
	trace, err := h.Service.Trace(r.Context(), tenant, id)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	if values.Has("format") {
		h.writeOTLP(w, r, trace)
		return
	}
	beginAnswer(w)
	// The answer streams: what fails from here on is the connection, and nobody is left to tell.
	_ = writeTrace(w, trace)
}

// writeOTLP answers in OTLP's JSON. Its marshaller copies text as it is; text that is not UTF-8 is mended in the finished
// JSON, where it can stand only within strings.
func (h *handler) writeOTLP(w http.ResponseWriter, r *http.Request, trace *query.Trace) {
	trace.Annotate()
	marshaler := ptrace.JSONMarshaler{}
	body, err := marshaler.MarshalTraces(trace.Spans)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	beginAnswer(w)
	_, _ = w.Write(body) // what fails is the connection: nobody is left to tell
}

// beginAnswer begins a good answer in JSON that streams.
func beginAnswer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	setSafeHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
}
