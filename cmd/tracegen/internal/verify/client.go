package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
)

// errNotFound is the answer 404.
var errNotFound = errors.New("answered 404")

// client asks the REST API as one tenant.
type client struct {
	http                 *http.Client
	with                 *access.Access
	base                 string
	tenantHeader, tenant string
}

// trace is what verify needs of GET /traces/{id} and of a row of a search.
type trace struct {
	TraceID string `json:"trace_id"`
	Entry   struct {
		Service   string `json:"service"`
		Operation string `json:"operation"`
	} `json:"entry"`
	Start      time.Time `json:"start"`
	Duration   int64     `json:"duration_ns"`
	SpanCount  int       `json:"span_count"`
	ErrorCount int       `json:"error_count"`
}

type searchPage struct {
	Traces     []trace `json:"traces"`
	NextCursor string  `json:"next_cursor"`
	Truncated  bool    `json:"truncated"`
}

// aggregate is what /traces/services and /traces/operations have in common.
type aggregate struct {
	Completeness json.RawMessage `json:"completeness"`
}

type servicesAnswer struct {
	aggregate
	Edges []struct {
		Parent     string `json:"parent"`
		Child      string `json:"child"`
		Protocol   string `json:"protocol"`
		Calls      int64  `json:"calls"`
		Errors     int64  `json:"errors"`
		Unanswered *int64 `json:"unanswered"`
	} `json:"edges"`
}

type operationsAnswer struct {
	aggregate
	Operations []struct {
		Service   string `json:"service"`
		Operation string `json:"operation"`
		Kind      string `json:"kind"`
		Calls     int64  `json:"calls"`
		Errors    int64  `json:"errors"`
	} `json:"operations"`
}

func (c *client) trace(ctx context.Context, id string) (*trace, error) {
	answer := new(trace)
	return answer, c.get(ctx, "/traces/"+id, answer)
}

// searchLimit is the most that a search answers.
const searchLimit = 1000

func (c *client) search(ctx context.Context, start, end time.Time, cursor string) (*searchPage, error) {
	request := map[string]any{"start": start.Format(time.RFC3339Nano), "end": end.Format(time.RFC3339Nano), "limit": searchLimit}
	if cursor != "" {
		request["cursor"] = cursor
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	page := new(searchPage)
	return page, c.do(ctx, http.MethodPost, "/traces/search", body, page)
}

func window(start, end time.Time) string {
	return "?" + url.Values{"start": {start.Format(time.RFC3339Nano)}, "end": {end.Format(time.RFC3339Nano)}}.Encode()
}

func (c *client) services(ctx context.Context, start, end time.Time) (*servicesAnswer, error) {
	answer := new(servicesAnswer)
	return answer, c.get(ctx, "/traces/services"+window(start, end), answer)
}

func (c *client) operations(ctx context.Context, start, end time.Time) (*operationsAnswer, error) {
	answer := new(operationsAnswer)
	return answer, c.get(ctx, "/traces/operations"+window(start, end), answer)
}

func (c *client) get(ctx context.Context, path string, answer any) error {
	return c.do(ctx, http.MethodGet, path, nil, answer)
}

func (c *client) do(ctx context.Context, method, path string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	c.with.SetOn(request)
	if c.tenant != "" {
		request.Header.Set(c.tenantHeader, c.tenant)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			return fmt.Errorf("%s %s: decode answer: %w", method, path, err)
		}
		_, err := io.Copy(io.Discard, response.Body) // so that the connection is used again
		return err
	case http.StatusNotFound:
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
		return errNotFound
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
	return fmt.Errorf("%s %s: answered %s: %s", method, path, response.Status, text)
}
