package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tracestore"
)

func TestSearchAnswer(t *testing.T) {
	h := testHandler(&fakeStorage{search: func(context.Context, string, *tracestore.SearchQuery) (tracestore.SearchPage, error) {
		return tracestore.SearchPage{
			Traces: []tracestore.Summary{
				{
					TraceID:    pcommon.TraceID{0xab, 15: 1},
					Entry:      tracestore.Operation{Service: "shop", Operation: "GET /a?b=1&c=<\xff>"},
					Start:      testNow.Add(-time.Minute).UnixNano() + 5,
					Duration:   1_500_000,
					SpanCount:  3,
					ErrorCount: 1,
					Services:   []string{"db", "shop"},
					Outcome:    "complete",
					Version:    1,
					Bottleneck: &tracestore.Bottleneck{SpanID: pcommon.SpanID{7: 9}, Service: "db", Operation: "SELECT", Share: 0.75},
				},
				{TraceID: pcommon.TraceID{1}, MissingParents: 2},
			},
			NextCursor: "more",
			Total:      tracestore.Total{Count: 70, Exact: false},
			Truncated:  true,
		}, nil
	}})
	response := do(h, postSearch(""))
	requireSafe(t, response)
	require.Equal(t, "application/json", response.Header().Get("Content-Type"))
	body := response.Body.String()
	require.Contains(t, body, "b=1&c=<", "not escaped for HTML")
	var answer struct {
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.JSONEq(t, `{
		"traces": [
			{
				"trace_id": "ab000000000000000000000000000001",
				"entry": {"service": "shop", "operation": "GET /a?b=1&c=<\ufffd>"},
				"start": "2026-01-02T11:59:00.000000005Z",
				"duration_ns": 1500000,
				"span_count": 3,
				"error_count": 1,
				"services": ["db", "shop"],
				"outcome": "complete",
				"version": 1,
				"missing_parents": 0,
				"bottleneck": {"span_id": "0000000000000009", "service": "db", "operation": "SELECT", "share": 0.75}
			},
			{
				"trace_id": "01000000000000000000000000000000",
				"entry": {"service": "", "operation": ""},
				"start": "1970-01-01T00:00:00.000000000Z",
				"duration_ns": 0,
				"span_count": 0,
				"error_count": 0,
				"services": [],
				"missing_parents": 2
			}
		],
		"next_cursor": "`+answer.NextCursor+`",
		"total": {"count": 70, "exact": false},
		"window": {"start": "2026-01-02T11:00:00.000000000Z", "end": "2026-01-02T12:00:00.000000000Z"},
		"truncated": true
	}`, body)
}

// Annotations may be somebody else's: a share that is none is answered as 0, as in what GET /traces/live tells.
func TestShareThatIsNone(t *testing.T) {
	for _, share := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -0.5, 1.5} {
		h := testHandler(&fakeStorage{search: func(context.Context, string, *tracestore.SearchQuery) (tracestore.SearchPage, error) {
			return tracestore.SearchPage{Traces: []tracestore.Summary{{Bottleneck: &tracestore.Bottleneck{Service: "db", Share: share}}}}, nil
		}})
		response := do(h, postSearch(""))
		require.Equal(t, http.StatusOK, response.Code, share)
		require.Contains(t, response.Body.String(), `"service":"db","operation":"","share":0}`)
	}
}

func TestSearchOfNothing(t *testing.T) {
	body := do(testHandler(&fakeStorage{}), postSearch(`{"start": "2026-01-01T00:00:00Z"}`)).Body.String()
	require.JSONEq(t, `{"traces": [], "total": {"count": 0, "exact": false}, "truncated": false,
		"window": {"start": "2026-01-01T00:00:00.000000000Z", "end": "2026-01-02T12:00:00.000000000Z"}}`, body)
}

func TestSecondPageHasTheWindowOfTheFirst(t *testing.T) {
	var asked []tracestore.SearchQuery
	storage := &fakeStorage{search: func(_ context.Context, _ string, q *tracestore.SearchQuery) (tracestore.SearchPage, error) {
		asked = append(asked, *q)
		return tracestore.SearchPage{NextCursor: "more"}, nil
	}}
	now := testNow
	h := newHandler(settings(storage), func() time.Time { return now })
	page := func(body string) (answer openapi.SearchAnswer) {
		response := do(h, postSearch(body))
		text := response.Body.String()
		require.Equal(t, http.StatusOK, response.Code, text)
		require.NoError(t, json.Unmarshal([]byte(text), &answer))
		return answer
	}
	first := page(`{"start": "-2h", "limit": 5}`)
	now = now.Add(10 * time.Minute)
	second := page(`{"start": "-2h", "limit": 5, "cursor": "` + *first.NextCursor + `"}`)
	require.Equal(t, first.Window, second.Window)
	require.Equal(t, "2026-01-02T10:00:00.000000000Z", second.Window.Start)
	require.Empty(t, asked[0].Cursor)
	require.Equal(t, "more", asked[1].Cursor)
	require.Equal(t, 5, asked[1].Limit)

	// Absolute times beside a cursor have to be its own.
	page(`{"start": "2026-01-02T10:00:00Z", "end": "2026-01-02T12:00:00Z", "cursor": "` + *first.NextCursor + `"}`)
	p := requireProblem(t, http.StatusBadRequest, do(h, postSearch(`{"end": "2026-01-02T12:00:01Z", "cursor": "`+*first.NextCursor+`"}`)))
	require.Equal(t, "cursor", p.Field)
}

func TestSearchRequestShape(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for given, status := range map[string]int{
		"":                                  200,
		"application/json":                  200,
		"Application/JSON; charset=utf-8":   200,
		"application/x-www-form-urlencoded": 415,
		"text/plain":                        415,
		"application/problem+json":          415,
		"nonsense;;":                        415,
	} {
		r := postSearch("{}")
		r.Header.Set("Content-Type", given)
		response := do(h, r)
		require.Equal(t, status, response.Code, given)
		if status != 200 {
			require.Equal(t, "Content-Type", requireProblem(t, status, response).Field)
		}
	}

	r := postSearch("{}")
	r.URL.RawQuery = "limit=5"
	p := requireProblem(t, http.StatusBadRequest, do(h, r))
	require.Equal(t, "limit", p.Field)
	require.Contains(t, p.Detail, "takes none")

	r = postSearch(strings.Repeat(" ", 100))
	r.Body = http.MaxBytesReader(nil, r.Body, 99)
	p = requireProblem(t, http.StatusRequestEntityTooLarge, do(h, r))
	require.Contains(t, p.Detail, "99 bytes")

	// A broken body, as the server's decompression hands it on.
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	_, err := z.Write([]byte("{}"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	broken, err := gzip.NewReader(bytes.NewReader(compressed.Bytes()[:compressed.Len()-4]))
	require.NoError(t, err)
	r = postSearch("")
	r.Body = broken
	require.Contains(t, requireProblem(t, http.StatusBadRequest, do(h, r)).Detail, "could not be read")
}
