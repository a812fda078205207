package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requirePages follows cursors to the end: pages are what a request without them answers, and a cursor is of nobody else.
func (s *storages) requirePages(t *testing.T, storage, tenant string) {
	w := window(s.from, s.to)
	for _, order := range orders {
		search := func(more string) question {
			return question{target: "/traces/search", body: fmt.Sprintf(`{"start": %q, "end": %q, "order": %q, %s}`, w.Get("start"), w.Get("end"), order, more)}
		}
		var all, page searchAnswer
		s.read(t, storage, tenant, search(`"limit": 1000`), &all)
		var paged []summaryAnswer
		cursor := ""
		for {
			page = searchAnswer{}
			s.read(t, storage, tenant, search(`"limit": 30`+cursor), &page)
			paged = append(paged, page.Traces...)
			if page.NextCursor == "" {
				break
			}
			cursor = fmt.Sprintf(`, "cursor": %q`, page.NextCursor)
			foreign := s.ask(t, storage, otherTenant, search(`"limit": 30`+cursor))
			require.Equal(t, http.StatusBadRequest, foreign.status, "a cursor of another tenant: %s", foreign.body)
		}
		require.Equal(t, all.Traces, paged, "%s by %s", storage, order)
	}

	type operations struct {
		Operations []map[string]any
		NextCursor string `json:"next_cursor"`
	}
	var all operations
	s.read(t, storage, tenant, question{target: "/traces/operations?" + w.Encode()}, &all)
	var paged []map[string]any
	for target := "/traces/operations?limit=40&" + w.Encode(); ; {
		var page operations
		s.read(t, storage, tenant, question{target: target}, &page)
		paged = append(paged, page.Operations...)
		if page.NextCursor == "" {
			break
		}
		target = "/traces/operations?limit=40&cursor=" + page.NextCursor
		require.Equal(t, http.StatusBadRequest, s.ask(t, storage, otherTenant, question{target: target}).status, "a cursor of another tenant")
	}
	require.Equal(t, all.Operations, paged, storage)
}

const otherTenant = "tenant-2"

// requireApart asks everything as two tenants, and as one that has nothing: nobody sees an id of another's trace, and who has nothing sees no name.
func (s *storages) requireApart(t *testing.T, storage string) {
	own, others := s.sent("tenant-1"), s.sent(otherTenant)
	questions := append(s.searches(), sums(window(s.from, s.to))...)
	for _, trace := range own[:3] {
		for _, way := range []string{"", "?format=otlp", "?fields=summary", "?span_limit=5", "/compare?with=usual", "/compare?with=" + others[0].TraceID} {
			q := question{target: "/traces/" + trace.TraceID + way}
			require.Equal(t, http.StatusNotFound, s.ask(t, storage, otherTenant, q).status, q)
		}
		q := question{target: "/traces/" + others[0].TraceID + "/compare?with=" + trace.TraceID}
		require.Equal(t, http.StatusNotFound, s.ask(t, storage, otherTenant, q).status, q)
	}
	for _, q := range questions {
		theirs, nobodys := s.ask(t, storage, otherTenant, q), s.ask(t, storage, "nobody", q)
		require.Equal(t, http.StatusOK, theirs.status, "%s: %s", q, theirs.body)
		require.Equal(t, http.StatusOK, nobodys.status, "%s: %s", q, nobodys.body)
		for _, trace := range own {
			require.NotContains(t, string(theirs.body), trace.TraceID, q)
		}
		var answer map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(nobodys.body, &answer))
		for _, name := range []string{
			"traces", "services", "edges", "operations", "entries", "bottlenecks", "limits", "patterns", "insights", "attributes", "values", "ways",
			"callers", "callees", "blast_radius", "single_points", "cycles",
		} {
			if list, ok := answer[name]; ok {
				require.Equal(t, "[]", string(list), "%s: %s", q, name)
			}
		}
	}
}

// requireFollowed follows what is stored in both storages: both tell of a trace, and only to its tenant.
func (s *storages) requireFollowed(t *testing.T) {
	header := http.Header{"X-Tracewright-Tenant": {"follower"}}
	var streams []*bufio.Scanner
	for _, storage := range []string{embedded, production} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url(storage, "/traces/live?service=checkout&errors=true"), http.NoBody)
		require.NoError(t, err)
		r.Header = header
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode, storage)
		lines := bufio.NewScanner(response.Body)
		require.True(t, lines.Scan(), storage)
		require.Equal(t, ": following", lines.Text())
		streams = append(streams, lines)
	}
	s.send(checkout(), http.Header{"X-Tracewright-Tenant": {"somebody-else"}})
	td := checkout()
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.SetTraceID([16]byte{15: 0x12})
		}
	}
	s.send(td, header)
	var told []string
	for _, lines := range streams {
		for lines.Scan() {
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
				require.Contains(t, data, `"trace_id":"00000000000000000000000000000012"`)
				told = append(told, data)
				break
			}
		}
	}
	require.Len(t, told, 2)
	require.JSONEq(t, told[0], told[1])
}

// requireDeleted deletes a trace from both storages: another tenant cannot, and then nothing finds it.
func (s *storages) requireDeleted(t *testing.T) {
	doomed := s.sent(otherTenant)[0].TraceID
	for _, storage := range []string{embedded, production} {
		remove := func(tenant string, status int) {
			_, err := s.do(http.MethodDelete, s.url(storage, "/traces/"+doomed), nil, status, http.Header{"X-Tracewright-Tenant": {tenant}})
			require.NoError(t, err, storage)
		}
		remove("tenant-1", http.StatusNotFound)
		remove(otherTenant, http.StatusNoContent)
		remove(otherTenant, http.StatusNotFound)
		require.Equal(t, http.StatusNotFound, s.ask(t, storage, otherTenant, question{target: "/traces/" + doomed}).status)
	}
	for _, q := range s.searches() {
		s.requireSame(t, otherTenant, q)
	}
}
