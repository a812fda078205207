package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sent is what tracegen wrote about a run.
type sent struct {
	traces  []sentTrace
	entries []sentEntry
}

type sentTrace struct {
	TraceID    string          `json:"trace_id"`
	Tenant     string          `json:"tenant"`
	Entry      operationAnswer `json:"entry"`
	Start      time.Time       `json:"start"`
	DurationNS int64           `json:"duration_ns"`
	SpanCount  int             `json:"span_count"`
	ErrorCount int             `json:"error_count"`
}

type sentEntry struct {
	operationAnswer
	Tenant string `json:"tenant"`
	Traces int64  `json:"traces"`
	Errors int64  `json:"errors"`
}

func readTruth(t *testing.T, path string) *sent {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	truth := &sent{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Type string `json:"type"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		switch line.Type {
		case "trace":
			var trace sentTrace
			require.NoError(t, json.Unmarshal(lines.Bytes(), &trace))
			truth.traces = append(truth.traces, trace)
		case "entry":
			var entry sentEntry
			require.NoError(t, json.Unmarshal(lines.Bytes(), &entry))
			truth.entries = append(truth.entries, entry)
		}
	}
	require.NoError(t, lines.Err())
	return truth
}

// of are the traces of a tenant.
func (s *sent) of(tenant string) (traces []sentTrace) {
	for _, trace := range s.traces {
		if trace.Tenant == tenant {
			traces = append(traces, trace)
		}
	}
	return traces
}

// sent are the traces of a tenant, the newest first.
func (s *storages) sent(tenant string) []sentTrace {
	traces := append(s.calm.of(tenant), s.faulty.of(tenant)...)
	slices.SortFunc(traces, func(a, b sentTrace) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(b.TraceID, a.TraceID)) })
	return traces
}

// requireSearchedTruth searches for what tracegen knows of its traces, and wants these in their order, and their number.
func (s *storages) requireSearchedTruth(t *testing.T, storage, tenant string) {
	for condition, holds := range map[string]func(trace *sentTrace) bool{
		`{}`: func(*sentTrace) bool { return true },
		`{"trace": {"entry": {"operation": "POST /checkout"}}}`: func(trace *sentTrace) bool { return trace.Entry.Operation == "POST /checkout" },
		`{"trace": {"duration": {"min": "80ms"}}}`:              func(trace *sentTrace) bool { return trace.DurationNS >= 80e6 },
		`{"trace": {"duration": {"max": "40ms"}}}`:              func(trace *sentTrace) bool { return trace.DurationNS <= 40e6 },
		`{"trace": {"spans": {"min": 15, "max": 25}}}`:          func(trace *sentTrace) bool { return trace.SpanCount >= 15 && trace.SpanCount <= 25 },
		`{"trace": {"errors": {"min": 1}}}`:                     func(trace *sentTrace) bool { return trace.ErrorCount >= 1 },
		`{"span": {"errors": true}}`:                            func(trace *sentTrace) bool { return trace.ErrorCount >= 1 },
		`{"not": {"span": {"errors": true}}}`:                   func(trace *sentTrace) bool { return trace.ErrorCount == 0 },
	} {
		for order, rank := range map[string]func(trace *sentTrace) int64{
			"recency":  func(*sentTrace) int64 { return 0 },
			"duration": func(trace *sentTrace) int64 { return trace.DurationNS },
			"errors":   func(trace *sentTrace) int64 { return int64(trace.ErrorCount) },
		} {
			var want []sentTrace
			for _, trace := range s.sent(tenant) {
				if holds(&trace) {
					want = append(want, trace)
				}
			}
			require.NotEmpty(t, want, condition)
			slices.SortStableFunc(want, func(a, b sentTrace) int { return cmp.Compare(rank(&b), rank(&a)) })
			var found searchAnswer
			w := window(s.from, s.to)
			s.read(t, storage, tenant, question{target: "/traces/search", body: fmt.Sprintf(
				`{"start": %q, "end": %q, "limit": 1000, "order": %q, "where": %s}`, w.Get("start"), w.Get("end"), order, condition)}, &found)
			require.Equal(t, len(want), found.Total.Count, "%s: %s", storage, condition)
			require.True(t, found.Total.Exact)
			require.False(t, found.Truncated)
			require.Len(t, found.Traces, len(want))
			for i, row := range found.Traces {
				require.Equal(t, want[i], sentTrace{
					row.TraceID, tenant, row.Entry, want[i].Start, row.DurationNS, row.SpanCount, row.ErrorCount,
				}, "%s: %s by %s", storage, condition, order)
			}
		}
	}
}

// requireEntries wants the traces of each entry, and those with a failure.
func (s *storages) requireEntries(t *testing.T, storage, tenant string) {
	type count struct{ traces, errors int64 }
	want, got := map[operationAnswer]count{}, map[operationAnswer]count{}
	for _, trace := range s.sent(tenant) {
		c := want[trace.Entry]
		c.traces++
		if trace.ErrorCount > 0 {
			c.errors++
		}
		want[trace.Entry] = c
	}
	var answer struct {
		Entries []struct {
			Entry          operationAnswer
			Traces, Errors int64
		}
	}
	s.read(t, storage, tenant, question{target: "/traces/performance?limit=1000&" + window(s.from, s.to).Encode()}, &answer)
	for _, e := range answer.Entries {
		got[e.Entry] = count{e.Traces, e.Errors}
	}
	require.Equal(t, want, got, storage)
}

// requireFaults wants inventory to be blamed, and its failures to be known as new, with traces that have them.
func (s *storages) requireFaults(t *testing.T, storage, tenant string) {
	var insights struct {
		Insights []struct {
			Kind, Urgency, Service string
			TraceIDs               []string `json:"trace_ids"`
		}
	}
	s.read(t, storage, tenant, question{target: "/traces/insights?kind=suspect&sample_time=10s&" + s.afterChange().Encode()}, &insights)
	require.NotEmpty(t, insights.Insights, storage)
	first := insights.Insights[0]
	require.Equal(t, "incident", first.Urgency)
	require.Equal(t, "inventory", first.Service, storage)
	require.NotEmpty(t, first.TraceIDs)

	var errors struct {
		Patterns []struct {
			Fingerprint, Service string
			Count                int
			New                  bool
			TraceIDs             []string `json:"trace_ids"`
		}
	}
	s.read(t, storage, tenant, question{target: "/traces/errors?service=inventory&new=true&limit=1000&" + s.afterChange().Encode()}, &errors)
	require.NotEmpty(t, errors.Patterns)
	for _, pattern := range errors.Patterns {
		require.Equal(t, "inventory", pattern.Service)
		require.True(t, pattern.New)
		require.NotEmpty(t, pattern.TraceIDs)
		require.LessOrEqual(t, len(pattern.TraceIDs), pattern.Count)
		var trace struct {
			Origins []struct{ Fingerprint string } `json:"error_origins"`
		}
		s.read(t, storage, tenant, question{target: "/traces/" + pattern.TraceIDs[0]}, &trace)
		require.True(t, slices.ContainsFunc(trace.Origins, func(o struct{ Fingerprint string }) bool { return o.Fingerprint == pattern.Fingerprint }),
			"%s: trace %s has no failure %s", storage, pattern.TraceIDs[0], pattern.Fingerprint)
	}
}

// afterChange are parameters of the window of the faults, such that the window before it is the one without.
func (s *storages) afterChange() url.Values {
	return window(s.change, s.change.Add(s.change.Sub(s.from)))
}
