package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// heartbeat is how long a client that follows hears nothing at most, so that it and what stands between know that all is well.
	heartbeat = 15 * time.Second
	// tailWriteTimeout is how long a client may take to take what is sent to it.
	tailWriteTimeout = 10 * time.Second
)

// TailTraces tells of traces as they are stored, until the client leaves.
func (h *handler) TailTraces(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.TailTracesParams
	p := requestParser{faults: bindParameters(r, &parameters)}
	where := p.tail(&parameters)
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	tail, err := h.Service.Tail(r.Context(), tenant, where)
	var tooMany *query.TooManyTailsError
	switch {
	case errors.As(err, &tooMany):
		h.tooMany(w, r, refusedConcurrency, 10*time.Second, tooMany.Error())
		return
	case errors.Is(err, query.ErrNoTail):
		newProblem(http.StatusNotImplemented, fault{Detail: err.Error()}).write(w)
		return
	case err != nil:
		h.writeFailure(w, r, err)
		return
	}
	defer tail.Close()
	s := newEventStream(w)
	if r.Method == http.MethodHead {
		return
	}
	h.follow(s, r, tail)
}

// tail reads conditions as a search has them.
func (p *requestParser) tail(r *openapi.TailTracesParams) *tracestore.Conditions {
	p.length("service", r.Service)
	p.length("operation", r.Operation)
	where := &tracestore.Conditions{Span: p.onSpan("", &openapi.SpanCondition{
		Service: r.Service, Operation: r.Operation, Errors: r.Errors, MinDuration: r.MinDuration,
	}, 0)}
	where.Trace.MinDuration = p.duration("min_trace_duration", r.MinTraceDuration)
	return where
}

// follow sends what the tail tells until the client leaves, is too slow, or the server stops.
func (h *handler) follow(s *eventStream, r *http.Request, tail *query.Tail) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	s.comment("following")
	for s.flush() == nil {
		// The gap lies behind the rows that the tail holds: what comes from here on would not follow them.
		if missed := tail.Missed(); missed > 0 {
			s.end("too_slow", missed+int64(len(tail.Rows)))
			return
		}
		select {
		case row := <-tail.Rows:
			s.traces(row, tail.Rows)
			ticker.Reset(heartbeat)
		case <-ticker.C:
			s.comment("still following")
		case <-r.Context().Done():
			return
		case <-h.Stopping:
			s.end("stopping", int64(len(tail.Rows)))
			return
		case <-tail.Ended:
			s.end("stopping", int64(len(tail.Rows)))
			return
		}
	}
}

// eventStream writes server-sent events.
type eventStream struct {
	*jsonWriter
	w          http.ResponseWriter
	controller *http.ResponseController
}

// newEventStream begins the answer.
func newEventStream(w http.ResponseWriter) *eventStream {
	header := w.Header()
	header.Set(gzhttp.HeaderNoCompression, "1") // an event is to leave at once
	header.Set("X-Accel-Buffering", "no")       // and is not to wait in nginx either
	s := &eventStream{jsonWriter: newJSONWriter(w), w: w, controller: http.NewResponseController(w)}
	// The server's time to write an answer is for those that end. Where none can be set, as in a test, there is none to lift.
	_ = s.controller.SetWriteDeadline(time.Now().Add(tailWriteTimeout))
	beginAnswer(w, "text/event-stream")
	return s
}

// flush sends what is written. The error is that of the connection, or of the time that its other end took.
func (s *eventStream) flush() error {
	_ = s.controller.SetWriteDeadline(time.Now().Add(tailWriteTimeout))
	if err := s.stream.Flush(); err != nil {
		return err
	}
	return s.controller.Flush()
}

func (s *eventStream) comment(text string) { s.stream.WriteRaw(": " + text + "\n\n") }

// traces writes a row, and those that wait behind it.
func (s *eventStream) traces(row tracestore.Summary, more <-chan tracestore.Summary) {
	for range tailBatch {
		s.trace(&row)
		select {
		case row = <-more:
		default:
			return
		}
	}
	s.trace(&row)
}

// tailBatch is how many rows are sent at once, besides one.
const tailBatch = 63

// trace writes an event.
func (s *eventStream) trace(row *tracestore.Summary) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(newSummary(row)) // it always marshals, and ends with a line
	s.stream.WriteRaw("event: trace\ndata: " + data.String() + "\n")
}

// end writes the last event.
func (s *eventStream) end(reason string, missed int64) {
	s.stream.WriteRaw("event: end\ndata: ")
	s.comma = false
	s.open("{")
	s.textMember("reason", reason)
	s.intMember("missed", missed)
	s.close("}")
	s.stream.WriteRaw("\n\n")
	_ = s.flush() // what fails is the connection: nobody is left to tell
}
