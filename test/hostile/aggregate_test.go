package hostile

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// operationRow is one of the answer of GET /traces/operations.
type operationRow struct {
	Service        string `json:"service"`
	Operation      string `json:"operation"`
	Kind           string `json:"kind"`
	Calls          int64  `json:"calls"`
	Errors         int64  `json:"errors"`
	P50NS          int64  `json:"p50_ns"`
	P99NS          int64  `json:"p99_ns"`
	SelfTimeNS     int64  `json:"self_time_ns"`
	CriticalPathNS int64  `json:"critical_path_ns"`
}

// operations asks for all of them, page by page.
func (p *pipeline) operations(tenantName string) []operationRow {
	p.t.Helper()
	var all []operationRow
	for cursor := ""; ; {
		var page struct {
			Operations []operationRow `json:"operations"`
			NextCursor string         `json:"next_cursor"`
		}
		path := "/traces/operations?start=-1h&end=now"
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		p.get(path, tenantName, &page)
		all = append(all, page.Operations...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// Conflicting spans are left out of aggregates, and so are duplicates; everything else counts once.
func TestAggregatesOfOddSpans(t *testing.T) {
	p := startPipeline(t, nil)
	r := newRequest(1)
	spans := r.service("shop")
	r.span(spans, 1, 0, server, 0, 100)
	child := r.span(spans, 2, 1, internal, 10, 50)
	child.SetName("child")
	child.CopyTo(spans.AppendEmpty())
	r.span(spans, 2, 1, internal, 10, 60).SetName("conflicting")
	negative := r.span(spans, 3, 1, internal, 50, 40)
	negative.SetName("negative")
	ranged := r.span(spans, 4, 1, internal, 0, 0)
	ranged.SetName("out of range")
	ranged.SetStartTimestamp(math.MaxUint64)
	ranged.SetEndTimestamp(math.MaxUint64)
	r.span(spans, 5, 5, 99, 10, 20).SetName("its own parent, of an unknown kind")
	p.send(encode(t, r.td))
	p.settle()
	got := make(map[string]operationRow)
	for _, row := range p.operations("") {
		got[row.Operation] = row
	}
	require.Equal(t, []string{"child", "its own parent, of an unknown kind", "negative", "out of range", "work"}, slices.Sorted(maps.Keys(got)))
	for name, row := range got {
		require.EqualValues(t, 1, row.Calls, name)
		require.GreaterOrEqual(t, row.P50NS, int64(0), name)
		require.GreaterOrEqual(t, row.SelfTimeNS, int64(0), name)
	}
	require.Equal(t, "unspecified", got["its own parent, of an unknown kind"].Kind)
	require.InEpsilon(t, 100*ms, got["work"].P50NS, 0.01)
	require.Equal(t, 60*ms, got["work"].CriticalPathNS, "the child holds 40 of the 100")
}

// The map and the operations of the whole table are answered, in names of at most 256 bytes.
func TestAggregatesOfTheTable(t *testing.T) {
	p := startPipeline(t, nil)
	cases := table()
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		p.send(c.body(t, uint64(i)))
	}
	p.settle()
	rows := p.operations("")
	require.NotEmpty(t, rows)
	for _, row := range rows {
		require.LessOrEqual(t, len(row.Service), 3*256, "U+FFFD takes three bytes")
		require.LessOrEqual(t, len(row.Operation), 3*256)
		require.GreaterOrEqual(t, row.P99NS, int64(0))
		require.GreaterOrEqual(t, row.SelfTimeNS, int64(0))
		require.GreaterOrEqual(t, row.CriticalPathNS, int64(0))
	}
	var services struct {
		Services []struct {
			Name string `json:"name"`
		} `json:"services"`
	}
	p.get("/traces/services?start=-1h&end=now", "", &services)
	var names []string
	for _, s := range services.Services {
		names = append(names, s.Name)
	}
	for _, want := range []string{"shop", "unknown_service", "caf\uFFFD", strings.Repeat("n", 256), "first", "a\x00b"} {
		require.Contains(t, names, want)
	}
}
