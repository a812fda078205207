// Package servicemaptest is the specification of servicemap.Reader as a test suite: every storage of a map passes it on the same
// traffic, against what the simulated shop really did, and against the reference storage where annotations are random.
package servicemaptest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/rollupmap"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// Writer takes calls; it promises what tracestore.Writer does.
type Writer interface {
	WriteCall(ctx context.Context, td ptrace.Traces) error
}

// Open opens an empty map that its writer fills, and closes both when the test ends. now is the clock.
type Open func(t *testing.T, now func() time.Time) (servicemap.Reader, Writer)

// Now is the time at which the suite runs.
var Now = storetest.RandomStart.Add(10 * time.Minute)

// Run runs the suite on maps that open makes.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *storage)
	}{
		{"the shop", testShop},
		{"circles", testCircles},
		{"a repeated call changes nothing", testRepeatedCall},
		{"random annotations", testRandom},
		{"hostile names", testHostileNames},
		{"ended contexts", testEndedContexts},
	} {
		t.Run(test.name, func(t *testing.T) {
			reader, writer := open(t, func() time.Time { return Now })
			test.run(t, &storage{reader, writer})
		})
	}
}

type storage struct {
	servicemap.Reader
	Writer
}

func (s *storage) write(t *testing.T, td ptrace.Traces) {
	t.Helper()
	require.NoError(t, s.WriteCall(t.Context(), td))
}

// shopTraffic writes calls of five minutes, of two tenants and environments.
func (s *storage) shopTraffic(t *testing.T) *Traffic {
	f := NewTraffic(7)
	for minute := range 5 {
		for i, tenant := range []string{"", "acme"} {
			for _, environment := range []string{"production", "staging"}[:1+i] {
				s.write(t, f.Call(t, tenant, environment, at(minute, 7+20*i), 25))
			}
		}
	}
	return f
}

func at(minute, second int) time.Time {
	return storetest.RandomStart.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
}

func windows() []servicemap.Window {
	all := servicemap.Window{Start: at(0, 0), End: at(5, 0)}
	return []servicemap.Window{
		all,
		{Start: at(1, 0), End: at(2, 0)},
		{Start: at(1, 59), End: at(2, 1)}, // two minutes
		{Start: at(0, 0), End: at(5, 0), Environment: new("staging")},
		{Start: at(2, 0), End: at(4, 0), Environment: new("production")},
		{Start: at(0, 0), End: at(5, 0), Environment: new("")},
		{Start: at(-60, 0), End: at(60, 0)},
	}
}

var tenants = []string{"", "acme", "nobody"}

// each calls f for every tenant and window.
func each(t *testing.T, f func(t *testing.T, tenant string, w *servicemap.Window)) {
	for i, w := range windows() {
		for _, tenant := range tenants {
			t.Run(fmt.Sprintf("window %d of %q", i, tenant), func(t *testing.T) { f(t, tenant, &w) })
		}
	}
}

// testShop asks everything of the same traffic.
func testShop(t *testing.T, s *storage) {
	s.write(t, ptrace.NewTraces())
	truth := &s.shopTraffic(t).Truth
	require.Greater(t, len(truth.Map("acme", &windows()[0]).Edges), 25)
	t.Run("map", func(t *testing.T) {
		each(t, func(t *testing.T, tenant string, w *servicemap.Window) { RequireMap(t, s, truth, tenant, w) })
	})
	t.Run("graph", func(t *testing.T) { testGraph(t, s, truth) })
	t.Run("neighbours", func(t *testing.T) { testNeighbours(t, s, truth) })
	t.Run("blast radius", func(t *testing.T) { testRadius(t, s, truth) })
	t.Run("nothing", func(t *testing.T) { testNothing(t, s) })
}

// RequireMap compares the map of a window with the truth.
func RequireMap(t testing.TB, reader servicemap.Reader, truth *Truth, tenant string, w *servicemap.Window) {
	t.Helper()
	got, err := reader.Map(t.Context(), tenant, w)
	require.NoError(t, err)
	want := truth.Map(tenant, w)
	require.Equal(t, want.Services, got.Services)
	require.Equal(t, want.Edges, got.Edges)
	require.Equal(t, w.Start.Truncate(time.Minute), got.Start)
	require.Equal(t, w.End.Add(time.Minute-1).Truncate(time.Minute), got.End)
}

func testGraph(t *testing.T, s *storage, truth *Truth) {
	each(t, func(t *testing.T, tenant string, w *servicemap.Window) {
		got, err := s.Map(t.Context(), tenant, w)
		require.NoError(t, err)
		g := got.Graph()
		calls := pairs(truth.Map(tenant, w))
		require.Equal(t, circles(calls), g.Cycles())
		lost := make(map[string]int)
		for _, p := range g.SinglePoints() {
			lost[p.Service] = p.CutOff
		}
		for _, service := range g.Services() {
			require.Equal(t, cutOff(calls, service), lost[service], service)
		}
		for _, from := range g.Services() {
			reached := around(calls, from, -1, "")
			for _, to := range g.Services() {
				ways, _ := g.Ways(from, to, 1)
				at := slices.IndexFunc(reached, func(n servicegraph.Neighbour) bool { return n.Service == to })
				if at < 0 {
					require.Empty(t, ways)
				} else {
					require.Len(t, ways[0], reached[at].Distance+1, "%s to %s", from, to)
				}
			}
		}
	})
}

func testNeighbours(t *testing.T, s *storage, truth *Truth) {
	each(t, func(t *testing.T, tenant string, w *servicemap.Window) {
		calls := pairs(truth.Map(tenant, w))
		for _, service := range []string{"edge-proxy", "inventory", "nobody"} {
			for _, depth := range []int{1, servicemap.MaxDepth} {
				got, err := s.Neighbours(t.Context(), tenant, w, service, depth)
				require.NoError(t, err)
				require.Equal(t, around(calls, service, depth, ""), got.Callees, service)
				require.Equal(t, around(reversed(calls), service, depth, ""), got.Callers, service)
			}
		}
	})
}

func testRadius(t *testing.T, s *storage, truth *Truth) {
	each(t, func(t *testing.T, tenant string, w *servicemap.Window) {
		for _, service := range []string{"edge-proxy", "checkout", "inventory", "nobody"} {
			want := truth.radius(tenant, w, service)
			got, err := s.Radius(t.Context(), tenant, w, service)
			require.NoError(t, err)
			require.Len(t, got, len(want), service)
			for i, r := range got {
				share := float64(want[r.Entry].through) / float64(want[r.Entry].all)
				require.Equal(t, want[r.Entry].all, r.Traces, r.Entry)
				require.LessOrEqual(t, r.AtLeast, share, r.Entry)
				require.GreaterOrEqual(t, r.AtMost, share, r.Entry)
				if i > 0 {
					require.GreaterOrEqual(t, got[i-1].AtLeast*float64(got[i-1].Traces), r.AtLeast*float64(r.Traces))
				}
				if service == "edge-proxy" { // it has one operation in each trace
					require.InDelta(t, 1, r.AtLeast, 1e-9)
				}
			}
		}
	})
}

// testCircles: the shop has none.
func testCircles(t *testing.T, s *storage) {
	calls := [][2]string{{"a", "b"}, {"b", "c"}, {"c", "a"}, {"c", "d"}, {"d", "d"}, {"x", "a"}}
	td := ptrace.NewTraces()
	for i, c := range calls {
		appendCall(td, byte(i+1), c[0], c[1])
	}
	s.write(t, td)
	w := windows()[0]
	m, err := s.Map(t.Context(), "", &w)
	require.NoError(t, err)
	require.Len(t, m.Edges, len(calls))
	require.Equal(t, [][]string{{"a", "b", "c"}, {"d"}}, m.Graph().Cycles())
	n, err := s.Neighbours(t.Context(), "", &w, "a", servicemap.MaxDepth)
	require.NoError(t, err)
	require.Equal(t, []servicegraph.Neighbour{{Service: "b", Distance: 1}, {Service: "c", Distance: 2}, {Service: "d", Distance: 3}}, n.Callees)
	require.Equal(t, []servicegraph.Neighbour{{Service: "c", Distance: 1}, {Service: "x", Distance: 1}, {Service: "b", Distance: 2}}, n.Callers)
}

// appendCall adds a trace with the span that answers one call.
func appendCall(td ptrace.Traces, trace byte, parent, child string) {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", child)
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, at(0, 1).UnixNano())
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{15: trace})
	span.SetSpanID([8]byte{7: trace})
	span.SetParentSpanID([8]byte{6: 1, 7: trace})
	span.SetName("answer")
	span.SetKind(ptrace.SpanKindServer)
	span.Attributes().PutInt(conventions.AttrSpanCount, 1)
	span.Attributes().PutStr(conventions.AttrCategory, conventions.CategoryInternal)
	span.Attributes().PutStr(conventions.AttrParentService, parent)
	span.Attributes().PutStr(conventions.AttrEntryService, parent)
	span.Attributes().PutStr(conventions.AttrEntryOperation, "begin")
}

func testRepeatedCall(t *testing.T, s *storage) {
	f := NewTraffic(8)
	td := f.Call(t, "", "production", at(0, 0), 10)
	for range 3 {
		s.write(t, td)
	}
	RequireMap(t, s, &f.Truth, "", &windows()[0])
	// The same call of another tenant is another call.
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutStr(conventions.AttrTenant, "acme")
	}
	s.write(t, td)
	RequireMap(t, s, &f.Truth, "", &windows()[0])
	for i := range f.visits {
		f.visits[i].tenant = "acme"
	}
	RequireMap(t, s, &f.Truth, "acme", &windows()[0])
}

// testRandom: random annotations, and late releases that take back what others counted, add up to what the reference has.
func testRandom(t *testing.T, s *storage) {
	random := rand.New(rand.NewPCG(9, 1))
	store := memstore.New(time.Hour, func() time.Time { return Now })
	for _, td := range storetest.RandomCalls(random, 20) {
		s.write(t, td)
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	reference := rollupmap.New(store)
	for range 10 {
		start := at(random.IntN(6)-1, random.IntN(60))
		w := servicemap.Window{Start: start, End: start.Add(time.Duration(random.IntN(300)) * time.Second)}
		if random.IntN(2) == 0 {
			w.Environment = new(storetest.RandomEnvironments[random.IntN(len(storetest.RandomEnvironments))])
		}
		for _, tenant := range storetest.RandomTenants {
			want, err := reference.Map(t.Context(), tenant, &w)
			require.NoError(t, err)
			got, err := s.Map(t.Context(), tenant, &w)
			require.NoError(t, err)
			require.Equal(t, want.Services, got.Services)
			require.Equal(t, want.Edges, got.Edges)
			for _, service := range []string{"a", "b", "lb.example.com"} {
				wantReach, err := reference.Radius(t.Context(), tenant, &w, service)
				require.NoError(t, err)
				gotReach, err := s.Radius(t.Context(), tenant, &w, service)
				require.NoError(t, err)
				require.Len(t, gotReach, len(wantReach))
				for i := range wantReach { // of calls, each bound is added up for itself
					require.Equal(t, wantReach[i].AtMost, gotReach[slices.IndexFunc(gotReach, func(r blastradius.Reach) bool { return r.Entry == wantReach[i].Entry })].AtMost)
				}
				wantAround, err := reference.Neighbours(t.Context(), tenant, &w, service, 3)
				require.NoError(t, err)
				gotAround, err := s.Neighbours(t.Context(), tenant, &w, service, 3)
				require.NoError(t, err)
				require.Equal(t, wantAround, gotAround, service)
			}
		}
	}
}

func testNothing(t *testing.T, s *storage) {
	for _, w := range []servicemap.Window{
		{Start: at(-10, 0), End: at(0, 0)},
		{Start: at(5, 0), End: at(9, 0)},
		{Start: at(3, 0), End: at(3, 0)},
		{Start: at(4, 0), End: at(3, 0)},
		{Start: time.Unix(-1e9, 0), End: time.Unix(0, 0)},
	} {
		m, err := s.Map(t.Context(), "", &w)
		require.NoError(t, err)
		require.Empty(t, m.Services)
		require.Empty(t, m.Edges)
		n, err := s.Neighbours(t.Context(), "", &w, "checkout", 3)
		require.NoError(t, err)
		require.Equal(t, &servicemap.Neighbours{}, n)
		reached, err := s.Radius(t.Context(), "", &w, "checkout")
		require.NoError(t, err)
		require.Empty(t, reached)
	}
}

// testHostileNames: senders may write anything as a name.
func testHostileNames(t *testing.T, s *storage) {
	long := string(slices.Repeat([]byte("x"), 100_000))
	td := ptrace.NewTraces()
	for i, c := range [][2]string{{"a\x00b", "'; MATCH (n) DETACH DELETE n //"}, {long + "1", "c"}, {"c", "\U0001F980 $key {0}"}} {
		appendCall(td, byte(i+1), c[0], c[1])
	}
	s.write(t, td)
	m, err := s.Map(t.Context(), "", &windows()[0])
	require.NoError(t, err)
	require.Len(t, m.Edges, 3)
	require.Equal(t, "a\x00b", m.Edges[0].Parent)
	require.Equal(t, "\U0001F980 $key {0}", m.Edges[1].Child)
	n, err := s.Neighbours(t.Context(), "", &windows()[0], "'; MATCH (n) DETACH DELETE n //", 1)
	require.NoError(t, err)
	require.Equal(t, []servicegraph.Neighbour{{Service: "a\x00b", Distance: 1}}, n.Callers)
}

func testEndedContexts(t *testing.T, s *storage) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.WriteCall(ctx, NewTraffic(1).Call(t, "", "", at(0, 0), 1)), context.Canceled)
	w := windows()[0]
	_, err := s.Map(ctx, "", &w)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Neighbours(ctx, "", &w, "a", 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Radius(ctx, "", &w, "a")
	require.ErrorIs(t, err, context.Canceled)
}
