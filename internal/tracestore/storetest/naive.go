package storetest

import (
	"bytes"
	"math"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// This file is the contract of Search once more, in the plainest way, for testRandomQueries: it shares nothing with
// tracestore.Filter but the types. What a row says it takes from analysis, and the tree from tracetree, as the contract does.

type naiveStore map[string]map[pcommon.TraceID]*naiveTrace // by tenant

type naiveTrace struct {
	firstReleased int64
	releases      []ptrace.Traces // in the order of writing
	spans         []tracetree.Span
	row           tracestore.Summary
	tree          *tracetree.Tree
}

// add writes a call that was not written before.
func (n naiveStore) add(td ptrace.Traces) {
	for _, release := range tracetree.Releases(td) {
		if n[release.Tenant] == nil {
			n[release.Tenant] = make(map[pcommon.TraceID]*naiveTrace)
		}
		trace := n[release.Tenant][release.TraceID]
		if trace == nil {
			trace = &naiveTrace{firstReleased: release.ReleasedAt}
			n[release.Tenant][release.TraceID] = trace
		}
		alone := ptrace.NewTraces()
		for _, s := range release.Spans {
			rs := alone.ResourceSpans().AppendEmpty()
			s.Resource.CopyTo(rs.Resource())
			s.CopyTo(rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty())
		}
		trace.releases = append(trace.releases, alone)
		trace.join()
	}
}

func (t *naiveTrace) join() {
	ordered := slices.Clone(t.releases)
	sort.SliceStable(ordered, func(i, j int) bool {
		a, b := tracetree.Releases(ordered[i])[0], tracetree.Releases(ordered[j])[0]
		if a.Version != b.Version {
			return a.Version < b.Version
		}
		return a.Part < b.Part
	})
	copies := make([]ptrace.Traces, len(ordered))
	for i := range ordered {
		copies[i] = ptrace.NewTraces()
		ordered[i].CopyTo(copies[i])
	}
	_, release := tracetree.Join(copies)
	t.spans = release.Spans
	result := analysis.Analyze(&release)
	t.tree = tracetree.Build(release.Spans)
	t.row = tracestore.Summary{
		TraceID: release.TraceID, Entry: tracestore.Operation{Service: result.EntryService, Operation: result.EntryOperation},
		Start: result.Start, Duration: result.Duration, SpanCount: result.SpanCount, ErrorCount: result.ErrorCount, Outcome: release.Outcome,
	}
}

// search lists the ids of all matches in order.
func (n naiveStore) search(tenant string, query *tracestore.SearchQuery) []*naiveTrace {
	matches := []*naiveTrace{}
	for _, trace := range n[tenant] {
		at := time.Unix(0, trace.searchTime())
		if !at.Before(query.Start) && at.Before(query.End) && trace.holds(query.Where) {
			matches = append(matches, trace)
		}
	}
	sort.Slice(matches, func(i, j int) bool {
		a, b := matches[i], matches[j]
		if query.Order == tracestore.OrderDuration && a.row.Duration != b.row.Duration {
			return a.row.Duration > b.row.Duration
		}
		if query.Order == tracestore.OrderErrors && a.row.ErrorCount != b.row.ErrorCount {
			return a.row.ErrorCount > b.row.ErrorCount
		}
		if a.searchTime() != b.searchTime() {
			return a.searchTime() > b.searchTime()
		}
		return bytes.Compare(a.row.TraceID[:], b.row.TraceID[:]) > 0
	})
	return matches
}

func (t *naiveTrace) searchTime() int64 {
	return min(max(t.row.Start, t.firstReleased-int64(retention)), t.firstReleased+int64(time.Hour))
}

func (t *naiveTrace) holds(c conditions) bool {
	if t.spansOn(c.Span) == 0 || !t.traceHolds(c.Trace) {
		return false
	}
	for _, s := range c.Structure {
		if !t.structureHolds(s) {
			return false
		}
	}
	for _, and := range c.And {
		if !t.holds(and) {
			return false
		}
	}
	if c.Not != nil && t.holds(*c.Not) {
		return false
	}
	anyOf := len(c.Or) == 0
	for _, or := range c.Or {
		anyOf = anyOf || t.holds(or)
	}
	return anyOf
}

// spansOn counts the spans on which everything holds.
func (t *naiveTrace) spansOn(c onSpan) (n int) {
	for _, s := range t.spans {
		if spanHolds(s, c) {
			n++
		}
	}
	return n
}

func (t *naiveTrace) traceHolds(c onTrace) bool {
	for _, service := range c.Services {
		if t.spansOn(onSpan{Service: service}) == 0 {
			return false
		}
	}
	inside := func(n int, r tracestore.CountRange) bool {
		most := math.MaxInt
		if r.Max != nil {
			most = *r.Max
		}
		return r.Min <= n && n <= most
	}
	row := t.row
	return (c.Entry.Service == "" || row.Entry.Service == c.Entry.Service) &&
		(c.Entry.Operation == "" || row.Entry.Operation == c.Entry.Operation) &&
		(c.Outcome == "" || row.Outcome == c.Outcome) &&
		time.Duration(row.Duration) >= c.MinDuration && (c.MaxDuration == 0 || time.Duration(row.Duration) <= c.MaxDuration) &&
		inside(row.SpanCount, c.Spans) && inside(row.ErrorCount, c.Errors)
}

func (t *naiveTrace) structureHolds(s structure) bool {
	var below func(node int) bool
	below = func(node int) bool {
		for _, child := range t.tree.Children(node) {
			if spanHolds(t.spans[child], s.Below) || s.Relation == tracestore.RelationDescendant && below(child) {
				return true
			}
		}
		return false
	}
	for i := range t.tree.Nodes {
		if t.tree.Nodes[i].InTree() && spanHolds(t.spans[i], s.Above) && below(i) {
			return true
		}
	}
	return false
}

func spanHolds(s tracetree.Span, c onSpan) bool {
	annotation := func(key string) string {
		value, ok := s.Attributes().Get(key)
		if !ok {
			return "\x00nothing"
		}
		return value.AsString()
	}
	service, ok := s.Resource.Attributes().Get("service.name")
	name := conventions.UnknownService
	if ok && service.AsString() != "" {
		name = service.AsString()
	}
	length := time.Duration(0)
	from, to := int64(s.StartTimestamp()), int64(s.EndTimestamp()) // negative where it is beyond int64
	if from > 0 && to > from {
		length = time.Duration(to - from)
	}
	holds := (c.Service == "" || name == c.Service || annotation(conventions.AttrService) == c.Service) &&
		(c.Operation == "" || s.Name() == c.Operation || annotation(conventions.AttrOperation) == c.Operation) &&
		(c.Kind == nil || *c.Kind == s.Kind()) &&
		(c.Category == "" || annotation(conventions.AttrCategory) == c.Category) &&
		(c.Errors == nil || *c.Errors == (s.Status().Code() == ptrace.StatusCodeError)) &&
		length >= c.MinDuration && (c.MaxDuration == 0 || length <= c.MaxDuration)
	for _, a := range c.Attributes {
		holds = holds && attributeHolds(s, a)
	}
	for _, and := range c.And {
		holds = holds && spanHolds(s, and)
	}
	anyOf := len(c.Or) == 0
	for _, or := range c.Or {
		anyOf = anyOf || spanHolds(s, or)
	}
	return holds && anyOf && (c.Not == nil || !spanHolds(s, *c.Not))
}

func attributeHolds(s tracetree.Span, c attribute) bool {
	value, there := pcommon.Value{}, false
	if c.Scope != tracestore.ScopeResource {
		value, there = s.Attributes().Get(c.Key)
	}
	if !there && c.Scope != tracestore.ScopeSpan {
		value, there = s.Resource.Attributes().Get(c.Key)
	}
	if c.Op == tracestore.OpNotExists {
		return !there
	}
	if !there {
		return false
	}
	number := math.NaN() // which is not less, more or equal to any
	switch value.Type() {
	case pcommon.ValueTypeInt:
		number = float64(value.Int())
	case pcommon.ValueTypeDouble:
		number = value.Double()
	case pcommon.ValueTypeStr:
		if n, err := strconv.ParseFloat(value.Str(), 64); err == nil {
			number = n
		}
	}
	return map[tracestore.AttributeOp]bool{
		tracestore.OpEqual: value.AsString() == c.Text, tracestore.OpNotEqual: value.AsString() != c.Text,
		tracestore.OpExists: true, tracestore.OpRegex: c.Regex.MatchString(value.AsString()),
		tracestore.OpLess: number < c.Number, tracestore.OpLessEqual: number <= c.Number,
		tracestore.OpGreater: number > c.Number, tracestore.OpGreaterEqual: number >= c.Number,
	}[c.Op]
}

// testRandomQueries asks random questions about random traces.
func testRandomQueries(t *testing.T, store Store) {
	random := newTraffic(1)
	random.still = lossesOf(store).has(LostDistance)
	naive := make(naiveStore)
	matched, partly, asked := 0, 0, 40
	if len(lossesOf(store)) > 0 {
		asked = 10 // of a server, which takes its time
	}
	for round := range 10 {
		for range 5 {
			td := random.call()
			write(t, store, td)
			naive.add(lossesOf(store).kept(td))
		}
		for range asked {
			query, tenant := random.query(), trafficTenant(byte(random.IntN(5)))
			want := naive.search(tenant, query)
			page := allPages(t, store, tenant, query)
			require.Len(t, page.Traces, len(want), "round %d: %+v", round, query.Where)
			for i, trace := range want {
				got := page.Traces[i]
				got.Services, got.Version, got.MissingParents, got.Bottleneck = nil, 0, 0, nil
				require.Equal(t, trace.row, got, "round %d, row %d: %+v", round, i, query.Where)
			}
			if len(want) > 0 {
				matched++
			}
			if all := len(naive[tenant]); len(want) > 0 && len(want) < all {
				partly++
			}
		}
	}
	// The questions are of use: most find something, and many not everything.
	require.Greater(t, matched, 10*asked/3)
	require.Greater(t, partly, 10*asked/4)
}
