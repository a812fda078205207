package query

import (
	"context"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/rollupmap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/storetest"
)

// TestGraph: who reads a map of services gets the same answers as who reads the rollups, if both were told the same: durations and
// contexts with the calls. In a bubble no time passes: on a busy machine the examples would take longer than they are read for.
func TestGraph(t *testing.T) { synctest.Test(t, testGraph) }

func testGraph(t *testing.T) {
	store := memstore.New(time.Hour, func() time.Time { return servicemaptest.Now })
	f := servicemaptest.NewTraffic(3)
	for i := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), f.Call(t, "", "production", storetest.RandomStart.Add(time.Duration(i)*time.Minute), 20)))
	}
	for _, td := range storetest.RandomCalls(rand.New(rand.NewPCG(1, 2)), 10) {
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	storage := func() (tracestore.Backend, error) { return store, nil }
	plain := &Service{Storage: storage, Timeout: time.Minute}
	graph := &Service{Storage: storage, Timeout: time.Minute, Graph: func() (servicemap.Reader, error) { return rollupmap.New(store), nil }}
	for _, service := range []string{"", "checkout", "a"} {
		for _, tenant := range storetest.RandomTenants {
			asked := &tracestore.AggregateQuery{Start: storetest.RandomStart, End: storetest.RandomStart.Add(5 * time.Minute), Service: service}
			want, err := plain.ServiceMap(t.Context(), tenant, asked)
			require.NoError(t, err)
			got, err := graph.ServiceMap(t.Context(), tenant, asked)
			require.NoError(t, err)
			require.Equal(t, quantilesOf(t, want), quantilesOf(t, got))
			require.Equal(t, want, got)
			measured := &DependenciesQuery{Window: *asked, From: "edge-proxy", To: "fraud", Limit: 3, Depth: 2}
			wantMeasured, err := plain.Dependencies(t.Context(), tenant, measured)
			require.NoError(t, err)
			gotMeasured, err := graph.Dependencies(t.Context(), tenant, measured)
			require.NoError(t, err)
			require.Equal(t, wantMeasured, gotMeasured)
		}
	}
}

// quantilesOf takes the distributions out of the map, which the order of adding up shapes, and says what they hold.
func quantilesOf(t *testing.T, m *ServiceMap) (quantiles [][]float64) {
	take := func(d *tracestore.Durations) {
		var q []float64
		if *d != nil {
			values, err := (*d).GetValuesAtQuantiles([]float64{0.5, 0.95, 0.99})
			require.NoError(t, err)
			q = append(values, (*d).GetCount())
		}
		*d, quantiles = nil, append(quantiles, q)
	}
	for i := range m.Nodes {
		take(&m.Nodes[i].Durations)
	}
	for i := range m.Edges {
		take(&m.Edges[i].Durations)
	}
	return quantiles
}

// hours is a map that is kept by the hour.
type hours struct{ servicemap.Reader }

func (h hours) Map(ctx context.Context, tenant string, w *servicemap.Window) (*servicemap.Map, error) {
	wider := *w
	wider.Start, wider.End = w.Start.Truncate(time.Hour), w.Start.Truncate(time.Hour).Add(time.Hour)
	return h.Reader.Map(ctx, tenant, &wider)
}

// TestGraphWindow: an answer is that of the window that the map could answer, durations included, and says so.
func TestGraphWindow(t *testing.T) {
	store := memstore.New(time.Hour, func() time.Time { return servicemaptest.Now })
	f := servicemaptest.NewTraffic(4)
	start := storetest.RandomStart.Truncate(time.Hour)
	for i := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), f.Call(t, "", "production", start.Add(time.Duration(i)*time.Minute), 5)))
	}
	service := &Service{
		Storage: func() (tracestore.Backend, error) { return store, nil }, Timeout: time.Minute,
		Graph: func() (servicemap.Reader, error) { return hours{rollupmap.New(store)}, nil },
	}
	got, err := service.ServiceMap(t.Context(), "", &tracestore.AggregateQuery{Start: start.Add(time.Minute), End: start.Add(2 * time.Minute)})
	require.NoError(t, err)
	require.Equal(t, []time.Time{start, start.Add(time.Hour)}, []time.Time{got.Start, got.End})
	require.EqualValues(t, 15, got.Nodes[nodeNamed(t, got, "edge-proxy")].Calls)
	require.EqualValues(t, 15, got.Nodes[nodeNamed(t, got, "edge-proxy")].Durations.GetCount())

	// All of what is measured is of that window.
	watched := &errorsAsked{Backend: store}
	service.Storage = func() (tracestore.Backend, error) { return watched, nil }
	d, err := service.Dependencies(t.Context(), "", &DependenciesQuery{
		Window: tracestore.AggregateQuery{Start: start.Add(time.Minute), End: start.Add(2 * time.Minute), Service: "edge-proxy"}, Depth: 1,
	})
	require.NoError(t, err)
	require.Equal(t, []time.Time{start, start.Add(time.Hour)}, []time.Time{d.Start, d.End})
	require.Equal(t, tracestore.AggregateQuery{Start: d.Start, End: d.End, Service: "edge-proxy"}, watched.asked)
	traces := int64(0)
	for _, r := range d.Radius {
		traces += r.Traces
	}
	require.EqualValues(t, 15, traces)
}

// errorsAsked is a storage that remembers of what window it was asked for errors.
type errorsAsked struct {
	tracestore.Backend
	asked tracestore.AggregateQuery
}

func (e *errorsAsked) Errors(ctx context.Context, tenant string, asked *tracestore.AggregateQuery) iter.Seq2[tracestore.ErrorAggregate, error] {
	e.asked = *asked
	return e.Backend.Errors(ctx, tenant, asked)
}

func nodeNamed(t *testing.T, m *ServiceMap, name string) int {
	for i := range m.Nodes {
		if m.Nodes[i].Name == name {
			return i
		}
	}
	t.Fatalf("%s is no node", name)
	return 0
}

// failing is a map that does not answer one of the questions.
type failing struct {
	servicemap.Reader
	question string
}

func (f failing) Map(ctx context.Context, tenant string, w *servicemap.Window) (*servicemap.Map, error) {
	if f.question == "map" {
		return nil, servicemap.ErrUnavailable
	}
	return f.Reader.Map(ctx, tenant, w)
}

func (f failing) Radius(ctx context.Context, tenant string, w *servicemap.Window, service string) ([]blastradius.Reach, error) {
	if f.question == "radius" {
		return nil, servicemap.ErrUnavailable
	}
	return f.Reader.Radius(ctx, tenant, w, service)
}

func (f failing) Neighbours(ctx context.Context, tenant string, w *servicemap.Window, service string, depth int) (*servicemap.Neighbours, error) {
	if f.question == "neighbours" {
		return nil, servicemap.ErrUnavailable
	}
	return f.Reader.Neighbours(ctx, tenant, w, service, depth)
}

func TestGraphFails(t *testing.T) {
	store := memstore.New(time.Hour, func() time.Time { return servicemaptest.Now })
	asked := &DependenciesQuery{Window: tracestore.AggregateQuery{Start: storetest.RandomStart, End: servicemaptest.Now, Service: "a"}, Depth: 1}
	for _, question := range []string{"map", "radius", "neighbours", "none"} {
		service := &Service{
			Storage: func() (tracestore.Backend, error) { return store, nil }, Timeout: time.Minute,
			Graph: func() (servicemap.Reader, error) { return failing{rollupmap.New(store), question}, nil },
		}
		_, err := service.Dependencies(t.Context(), "", asked)
		if question == "none" {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, servicemap.ErrUnavailable, question)
		}
	}
	closed := &Service{
		Storage: func() (tracestore.Backend, error) { return store, nil }, Timeout: time.Minute,
		Graph: func() (servicemap.Reader, error) { return nil, servicemap.ErrClosed },
	}
	_, err := closed.ServiceMap(t.Context(), "", &asked.Window)
	require.ErrorIs(t, err, servicemap.ErrClosed)
}
