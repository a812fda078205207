package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// SearchTraces answers with one page of the traces that match.
func (h *handler) SearchTraces(w http.ResponseWriter, r *http.Request) {
	parsed, refused := h.parseSearchRequest(r)
	if refused != nil {
		refused.write(w)
		return
	}
	tenant, refused := h.tenant(r)
	if refused != nil {
		refused.write(w)
		return
	}
	page, next, err := h.Service.Search(r.Context(), tenant, &parsed.query, parsed.cursor)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newSearchAnswer(&parsed.query, page, next))
}

func (h *handler) parseSearchRequest(r *http.Request) (*search, *problem) {
	if faults := bindParameters(r, &struct{}{}); len(faults) > 0 {
		return nil, newProblem(http.StatusBadRequest, faults...)
	}
	body, refused := readJSON(r, false)
	if refused != nil {
		return nil, refused
	}
	parsed, faults := parseSearch(body, h.now().UTC())
	if len(faults) > 0 {
		return nil, newProblem(http.StatusBadRequest, faults...)
	}
	return parsed, nil
}

// readJSON reads the body of a request that says it is JSON, or says nothing unless it has to.
func readJSON(r *http.Request, mustSay bool) ([]byte, *problem) {
	if given := r.Header.Get("Content-Type"); given != "" || mustSay {
		if media, _, err := mime.ParseMediaType(given); err != nil || media != "application/json" {
			return nil, newProblem(http.StatusUnsupportedMediaType, fault{"Content-Type", "must be application/json"})
		}
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, newProblem(http.StatusRequestEntityTooLarge, fault{
			Detail: "the body is larger than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes",
		})
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, fault{Detail: "the body could not be read: " + err.Error()})
	}
	return body, nil
}

func newSearchAnswer(asked *tracestore.SearchQuery, page tracestore.SearchPage, next *query.Cursor) openapi.SearchAnswer {
	answer := openapi.SearchAnswer{
		Traces:     make([]openapi.TraceSummary, 0, len(page.Traces)),
		NextCursor: cursorText(next),
		Total:      openapi.Total{Count: page.Total.Count, Exact: page.Total.Exact},
		Window:     openapi.Window{Start: formatTime(asked.Start.UnixNano()), End: formatTime(asked.End.UnixNano())},
		Truncated:  page.Truncated,
	}
	for i := range page.Traces {
		answer.Traces = append(answer.Traces, newSummary(&page.Traces[i]))
	}
	return answer
}

// cursorText is next_cursor; nil on the last page.
func cursorText(next *query.Cursor) *string {
	if next == nil {
		return nil
	}
	return given(next.String())
}

func newSummary(s *tracestore.Summary) openapi.TraceSummary {
	answer := openapi.TraceSummary{
		TraceID:        s.TraceID.String(),
		Entry:          openapi.Operation{Service: s.Entry.Service, Operation: s.Entry.Operation},
		Start:          formatTime(s.Start),
		DurationNS:     s.Duration,
		SpanCount:      s.SpanCount,
		ErrorCount:     s.ErrorCount,
		Services:       append([]string{}, s.Services...), // never null
		Outcome:        given(openapi.Outcome(s.Outcome)),
		Version:        given(s.Version),
		MissingParents: s.MissingParents,
	}
	if b := s.Bottleneck; b != nil {
		answer.Bottleneck = &openapi.Bottleneck{SpanID: b.SpanID.String(), Service: b.Service, Operation: b.Operation}
		if b.Share >= 0 && b.Share <= 1 { // an annotation that is not ours may be anything, which JSON cannot even say
			answer.Bottleneck.Share = b.Share
		}
	}
	return answer
}
