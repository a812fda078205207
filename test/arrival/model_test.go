package arrival

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// four is a trace whose spans came at 2, 1, 4 and 9 s; the last two run because of a message.
func four(releases ...release) *trace {
	return &trace{
		spans: []span{
			{id: 1, waitedFor: true, arrived: 2 * time.Second},
			{id: 2, waitedFor: true, arrived: 1 * time.Second},
			{id: 3, arrived: 4 * time.Second},
			{id: 4, arrived: 9 * time.Second},
		},
		releases: releases,
	}
}

func TestTrace(t *testing.T) {
	early := release{at: 1500 * time.Millisecond, version: 1, outcome: "quiet", spans: []int{1}}
	first := release{at: 5 * time.Second, version: 1, outcome: "complete", spans: []int{0, 1, 2}}
	rest := release{at: 10 * time.Second, version: 2, outcome: "late", spans: []int{3}}
	tr := four(first, rest)
	require.Equal(t, time.Second, tr.first())
	require.Equal(t, time.Second, tr.delay(&first), "the span that it lacks came later")
	require.Equal(t, 500*time.Millisecond, tr.delay(&early))
	require.True(t, tr.whole(&first), "nobody waits for what runs because of a message")
	require.False(t, tr.whole(&early))

	require.True(t, tr.merged())
	require.False(t, four(first).merged(), "a span is missing")
	require.False(t, four(first, rest, release{version: 3, spans: []int{3}}).merged(), "a span is there twice")
	require.False(t, four(first, release{version: 1, spans: []int{3}}).merged(), "late spans as a new trace")
	require.False(t, four().merged())
}

func TestFixedWait(t *testing.T) {
	for wait, want := range map[time.Duration]struct {
		spans []int
		whole bool
		delay time.Duration
	}{
		500 * time.Millisecond: {[]int{1}, false, 500 * time.Millisecond},
		time.Second:            {[]int{0, 1}, true, 0}, // what comes as the time is over is in time
		2 * time.Second:        {[]int{0, 1}, true, time.Second},
		5 * time.Second:        {[]int{0, 1, 2}, true, 2 * time.Second},
		30 * time.Second:       {[]int{0, 1, 2, 3}, true, 22 * time.Second},
	} {
		tr := four()
		r := tr.fixedWait(wait)
		require.Equal(t, want.spans, r.spans, wait)
		require.Equal(t, want.whole, tr.whole(r), wait)
		require.Equal(t, want.delay, tr.delay(r), wait)
	}
}

func TestFigures(t *testing.T) {
	traces := []*trace{
		four(release{at: 5 * time.Second, version: 1, outcome: "complete", spans: []int{0, 1, 2}}, release{at: 10 * time.Second, version: 2, outcome: "late", spans: []int{3}}),
		four(release{at: 9 * time.Second, version: 1, outcome: "complete", spans: []int{0, 1, 2, 3}}),
		four(release{at: 4 * time.Second, version: 1, outcome: "quiet", spans: []int{1}}),
	}
	f := figuresOf(traces, 0)
	require.Equal(t, 3, f.traces)
	require.Equal(t, 2, f.whole)
	require.Equal(t, 2, f.merged)
	require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second}, f.delays)
	require.Equal(t, map[string]int{"complete": 2, "late": 1, "quiet": 1}, f.outcomes)
	require.Equal(t, "complete 50.0 %, quiet 25.0 %, late 25.0 %", f.shares())
	require.Zero(t, figuresOf(traces, 1001*time.Millisecond).traces, "all began before")

	for share, want := range map[float64]time.Duration{0: 0, 0.33: 0, 0.34: time.Second, 0.5: time.Second, 0.99: 3 * time.Second, 1: 3 * time.Second} {
		require.Equal(t, want, f.quantile(share), share)
	}
	verdicts := map[string]bool{}
	for _, judged := range f.targets(&pattern{name: "p"}) {
		verdicts[judged.measure] = judged.ok
	}
	require.Equal(t, map[string]bool{
		"p: last span → release p50": false, "p: last span → release p99": true, "p: merged": false, "p: whole": false,
	}, verdicts)
	require.Len(t, f.targets(&pattern{unjudged: true}), 3)
}

// Whatever is below a consumer is not waited for, and only that.
func TestNewTraces(t *testing.T) {
	s := shop.New(shop.Options{Seed: seed})
	traces, places := newTraces(s, 200)
	spans, consumers := 0, 0
	for i, tr := range traces {
		v := s.Visit(i)
		for k := range v.Spans {
			spans++
			require.Equal(t, place{tr, k}, places[v.Spans[k].ID])
			below := false
			for at := k; at >= 0; at = v.Spans[at].Parent {
				below = below || v.Spans[at].Kind == shop.Consumer
			}
			require.Equal(t, !below, tr.spans[k].waitedFor)
			if below {
				consumers++
			}
		}
	}
	require.Len(t, places, spans)
	require.Positive(t, consumers)
}
