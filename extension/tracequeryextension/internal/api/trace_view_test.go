package api

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/correlation"
)

// viewOf reads what a summary or a window says of itself.
type viewOf struct {
	SpanCount          int               `json:"span_count"`
	RootCount          *int              `json:"root_count"`
	Roots              []string          `json:"roots"`
	CriticalPathLength *int              `json:"critical_path_length"`
	CriticalPath       []json.RawMessage `json:"critical_path"`
	ErrorOriginCount   *int              `json:"error_origin_count"`
	ErrorOrigins       []json.RawMessage `json:"error_origins"`
	SpanWindow         *struct {
		Offset, Count, Total int
		NextOffset           int `json:"next_offset"`
	} `json:"span_window"`
	Resources []json.RawMessage `json:"resources"`
	Spans     []struct {
		SpanID     string `json:"span_id"`
		Resource   int    `json:"resource"`
		ChildCount *int   `json:"child_count"`
	} `json:"spans"`
}

func (v *viewOf) ids() (ids []string) {
	for _, span := range v.Spans {
		ids = append(ids, span.SpanID[14:])
	}
	return ids
}

func TestWindowsOfATrace(t *testing.T) {
	h := testHandler(stores(shopTrace))
	for query, want := range map[string]struct {
		ids       []string
		total     int
		next      int
		resources int
	}{
		"?span_limit=2":                                        {[]string{"01", "02"}, 5, 2, 1},
		"?span_offset=2&span_limit=2":                          {[]string{"03", "04"}, 5, 4, 1},
		"?span_offset=4":                                       {[]string{"05"}, 5, 0, 1},
		"?span_offset=5":                                       {nil, 5, 0, 0},
		"?span_offset=1000000000":                              {nil, 5, 0, 0},
		"?span_id=0000000000000003":                            {[]string{"03", "04", "05"}, 3, 0, 2},
		"?span_id=0000000000000003&depth=1":                    {[]string{"03", "04"}, 2, 0, 1},
		"?span_id=0000000000000003&depth=0":                    {[]string{"03"}, 1, 0, 1},
		"?span_id=0000000000000003&span_offset=1&span_limit=1": {[]string{"04"}, 3, 2, 1},
		"?depth=2": {[]string{"01", "02", "03"}, 3, 0, 2},
	} {
		got := answerTo[viewOf](t, h, "/traces/"+knownID+query)
		require.Equal(t, want.ids, got.ids(), query)
		require.Equal(t, want.total, got.SpanWindow.Total, query)
		require.Equal(t, len(want.ids), got.SpanWindow.Count, query)
		require.Equal(t, want.next, got.SpanWindow.NextOffset, query)
		require.Len(t, got.Resources, want.resources, query)
		require.Equal(t, 5, got.SpanCount, "of the trace")
		for _, span := range got.Spans {
			require.Less(t, span.Resource, len(got.Resources))
			if span.SpanID[15] == '5' {
				require.Zero(t, *span.ChildCount)
			} else {
				require.Equal(t, 1, *span.ChildCount)
			}
		}
	}
	whole := answerTo[viewOf](t, h, "/traces/"+knownID)
	require.Nil(t, whole.SpanWindow)
	require.Nil(t, whole.Spans[0].ChildCount)
	require.Nil(t, whole.RootCount)

	summary := answerTo[viewOf](t, h, "/traces/"+knownID+"?fields=summary")
	require.Nil(t, summary.Spans)
	require.Nil(t, summary.Resources)
	require.Equal(t, 1, *summary.RootCount)
	require.Equal(t, 9, *summary.CriticalPathLength)
	require.Len(t, summary.CriticalPath, 9)
	require.Equal(t, 1, *summary.ErrorOriginCount)
}

func TestBadWindows(t *testing.T) {
	h := testHandler(stores(shopTrace))
	for query, field := range map[string]string{
		"?fields=spans":                "fields",
		"?fields=summary&span_limit=2": "fields",
		"?format=jaeger&span_limit=2":  "format",
		"?format=otlp&fields=summary":  "format",
		"?span_id=3":                   "span_id",
		"?span_id=000000000000000g":    "span_id",
		"?depth=-1":                    "depth",
		"?depth=x":                     "depth",
		"?span_offset=-1":              "span_offset",
		"?span_limit=0":                "span_limit",
		"?span_limit=10001":            "span_limit",
	} {
		require.Equal(t, field, requireProblem(t, http.StatusBadRequest, do(h, get("/traces/"+knownID+query))).Field, query)
	}
	p := requireProblem(t, http.StatusNotFound, do(h, get("/traces/"+knownID+"?span_id=00000000000000FF")))
	require.Equal(t, "span_id", p.Field)
	require.Equal(t, "trace "+knownID+" has no span 00000000000000ff", p.Detail)
}

// largeTrace is a tree of n spans, of which each fails, beside as many roots as there are tens.
func largeTrace(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	services := []ptrace.SpanSlice{shopService(td, "a"), shopService(td, "b"), shopService(td, "c")}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		span := shopSpan(services[i%3], "work", 0, 0, ptrace.SpanKindInternal, i, n+rng.IntN(1000))
		id := [8]byte{4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i), 7: 1}
		span.SetSpanID(id)
		if i > 0 && i%10 != 0 {
			parent := rng.IntN(i)
			span.SetParentSpanID([8]byte{4: byte(parent >> 16), 5: byte(parent >> 8), 6: byte(parent), 7: 1})
		}
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Attributes().PutStr("url.path", fmt.Sprintf("/items/%d", i))
	}
	return td
}

// Windows one after the other are the whole trace, and each is bounded in all that it holds.
func TestWindowsAddUp(t *testing.T) {
	const n = 3000
	h := testHandler(stores(func() ptrace.Traces { return largeTrace(n) }))
	whole := answerTo[viewOf](t, h, "/traces/"+knownID)
	require.Len(t, whole.Spans, n)
	require.Greater(t, len(whole.Roots), maxBriefList)
	var ids []string
	for offset := 0; ; {
		response := do(h, get(fmt.Sprintf("/traces/%s?span_offset=%d&span_limit=700", knownID, offset)))
		require.Less(t, response.Body.Len(), 700*600+200_000)
		var window viewOf
		require.NoError(t, json.Unmarshal(response.Body.Bytes(), &window))
		require.Len(t, window.Roots, maxBriefList)
		require.Equal(t, len(whole.Roots), *window.RootCount)
		require.LessOrEqual(t, len(window.CriticalPath), maxBriefList)
		require.Equal(t, len(whole.CriticalPath), *window.CriticalPathLength)
		require.Len(t, window.ErrorOrigins, maxBriefList)
		require.Equal(t, len(whole.ErrorOrigins), *window.ErrorOriginCount)
		ids = append(ids, window.ids()...)
		if offset = window.SpanWindow.NextOffset; offset == 0 {
			break
		}
	}
	require.Equal(t, whole.ids(), ids)
}

func BenchmarkLargeTrace(b *testing.B) {
	trace := explain(largeTrace(100_000))
	for name, view := range map[string]*traceView{
		"summary": {summary: true}, "window": {windowed: true, offset: 50_000, limit: 100}, "whole": {},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer, _ := newTraceAnswer(trace, view, nil)
				if err := answer.write(io.Discard, trace); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func linksFor(t *testing.T) *Links {
	t.Helper()
	template := func(name, url string, onSpan bool) *correlation.Template {
		parsed, err := correlation.New(name, url, onSpan)
		require.NoError(t, err)
		return parsed
	}
	return &Links{
		Trace: []*correlation.Template{
			template("logs", "https://logs.example/?trace={trace_id}&from={from}&to={to_ms}&by={service}/{operation}", false),
		},
		Spans: []*correlation.Template{
			template("host", "https://metrics.example/{service}?from={start_ns}&to={end_ms}&span={span_id}", true),
			template("error", "https://errors.example/?code={span.http.response.status_code}&of={resource.service.name}", true),
		},
	}
}

func TestCorrelationLinks(t *testing.T) {
	s := settings(stores(shopTrace))
	s.Links = linksFor(t)
	type links []struct{ Name, URL string }
	got := answerTo[struct {
		Links links `json:"correlation_links"`
		Spans []struct {
			Links links `json:"correlation_links"`
		} `json:"spans"`
	}](t, NewHandler(s), "/traces/"+knownID)
	require.Equal(t, links{{
		"logs", "https://logs.example/?trace=" + knownID +
			"&from=2026-01-02T11%3A58%3A00.123456789Z&to=1767355200223&by=frontend/GET%20%2Fcart",
	}}, got.Links)
	require.Equal(t, links{
		{"host", "https://metrics.example/frontend?from=1767355140123456789&to=1767355140223&span=0000000000000001"},
		{"error", "https://errors.example/?code=200&of=frontend"},
	}, got.Spans[0].Links)
	require.Len(t, got.Spans[1].Links, 1, "it has no status code")

	summary := httptest.NewRecorder()
	NewHandler(s).ServeHTTP(summary, get("/traces/"+knownID+"?fields=summary"))
	require.Contains(t, summary.Body.String(), `"correlation_links":[{"name":"logs"`)
}

// Windows of a trace that is remembered share it, and change nothing of it.
func TestWindowsAtOnce(t *testing.T) {
	s := settings(stores(func() ptrace.Traces { return largeTrace(6000) }))
	s.Service.Memory.PerRequest, s.Service.Memory.Total = 1<<30, 1<<30
	h := NewHandler(s)
	want := do(h, get("/traces/"+knownID+"?span_offset=3000&span_limit=10")).Body.String()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, query := range []string{"?fields=summary", "?depth=1", "?format=otlp", "?span_offset=3000&span_limit=10"}[i%3:] {
				response := do(h, get("/traces/"+knownID+query))
				assert.Equal(t, http.StatusOK, response.Code)
				if query[1] == 's' {
					assert.Equal(t, want, response.Body.String())
				}
			}
		})
	}
	wg.Wait()
}
