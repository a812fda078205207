package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// searchAnswer is the body of the answer to POST /traces/search.
type searchAnswer struct {
	Traces     []summaryAnswer `json:"traces"`
	NextCursor string          `json:"next_cursor,omitempty"`
	Total      totalAnswer     `json:"total"`
	Window     windowAnswer    `json:"window"`
	Truncated  bool            `json:"truncated"`
}

type summaryAnswer struct {
	TraceID        string            `json:"trace_id"`
	Entry          operationAnswer   `json:"entry"`
	Start          string            `json:"start"`
	DurationNS     int64             `json:"duration_ns"`
	SpanCount      int               `json:"span_count"`
	ErrorCount     int               `json:"error_count"`
	Services       []string          `json:"services"`
	Outcome        string            `json:"outcome,omitempty"`
	Version        int               `json:"version,omitempty"`
	MissingParents int               `json:"missing_parents"`
	Bottleneck     *bottleneckAnswer `json:"bottleneck,omitempty"`
}

type operationAnswer struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
}

type bottleneckAnswer struct {
	SpanID    string  `json:"span_id"`
	Service   string  `json:"service"`
	Operation string  `json:"operation"`
	Share     float64 `json:"share"`
}

type totalAnswer struct {
	Count int  `json:"count"`
	Exact bool `json:"exact"`
}

type windowAnswer struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

func (h *handler) searchTraces(w http.ResponseWriter, r *http.Request) {
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
	if _, faults := parseParameters(r); len(faults) > 0 {
		return nil, newProblem(http.StatusBadRequest, faults...)
	}
	if given := r.Header.Get("Content-Type"); given != "" {
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
	parsed, faults := parseSearch(body, h.now().UTC())
	if len(faults) > 0 {
		return nil, newProblem(http.StatusBadRequest, faults...)
	}
	return parsed, nil
}

func newSearchAnswer(asked *tracestore.SearchQuery, page tracestore.SearchPage, next *query.Cursor) searchAnswer {
	answer := searchAnswer{
		Traces:    make([]summaryAnswer, 0, len(page.Traces)),
		Total:     totalAnswer{page.Total.Count, page.Total.Exact},
		Window:    windowAnswer{formatTime(asked.Start.UnixNano()), formatTime(asked.End.UnixNano())},
		Truncated: page.Truncated,
	}
	if next != nil {
		answer.NextCursor = next.String()
	}
	for i := range page.Traces {
		answer.Traces = append(answer.Traces, newSummaryAnswer(&page.Traces[i]))
	}
	return answer
}

func newSummaryAnswer(s *tracestore.Summary) summaryAnswer {
	answer := summaryAnswer{
		TraceID:        s.TraceID.String(),
		Entry:          operationAnswer{s.Entry.Service, s.Entry.Operation},
		Start:          formatTime(s.Start),
		DurationNS:     s.Duration,
		SpanCount:      s.SpanCount,
		ErrorCount:     s.ErrorCount,
		Services:       append([]string{}, s.Services...), // never null
		Outcome:        s.Outcome,
		Version:        s.Version,
		MissingParents: s.MissingParents,
	}
	if b := s.Bottleneck; b != nil {
		answer.Bottleneck = &bottleneckAnswer{b.SpanID.String(), b.Service, b.Operation, b.Share}
	}
	return answer
}
