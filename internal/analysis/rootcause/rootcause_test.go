package rootcause_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/rootcause"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

func operation(service, name string) rootcause.Operation {
	return rootcause.Operation{Service: service, Operation: name}
}

//	web GET     1  |0 ------------------------------------------------------ 200|
//	web         2      |10 ------- 50|  failed       |80 ---------- 130| 6
//	pay charge  3        |15 --- 45|  origin           |85 ----- 120|    7
//	web         9                                                    |140 - 150|   a query
//	pay render  8                                          |90 100|
//	web notify  4                                                              |160 170|  producer
//	mail        5                                                                  |180 190|
//
// The pause between the two tries, 50 to 80, is pay's doing, and so are the 10 and 15 on the way there and back.
func TestSummarize(t *testing.T) {
	got := rootcause.Summarize(analysis.Analyze(treetest.Release(t, `
		web  1 - server   0   200 name=GET
		web  2 1 client   10  50  name=charge error
		pay  3 2 server   15  45  name=charge error=broken
		web  6 1 client   80  130 name=charge
		pay  7 6 server   85  120 name=charge
		pay  8 7 internal 90  100 name=render
		web  9 1 client   140 150 name=SELECT db.system.name=redis db.namespace=1
		web  4 1 producer 160 170 name=notify
		mail 5 4 consumer 180 190 name=notify`)))
	require.Equal(t, rootcause.Trace{
		Entry: operation("web", "GET"), Duration: 200,
		Calls: []rootcause.Call{
			{Caller: -1, Callee: operation("web", "GET"), Own: 70, OwnPath: 70}, // 10 + 10 + 10 + 10 for notify + 30
			{Caller: 0, Callee: operation("redis:1", "SELECT"), Virtual: true, Own: 10, OwnPath: 10},
			{Caller: 0, Callee: operation("pay", "charge"), Own: 30, Wait: 40, OwnPath: 30, WaitPath: 40, Failed: true, Origin: true},
			{Caller: 0, Callee: operation("pay", "charge"), Own: 35, Wait: 15, OwnPath: 35, WaitPath: 15},
			{Caller: 0, Callee: operation("mail", "notify"), Own: 10}, // nobody waits for it
		},
	}, got)
	require.Equal(t, rootcause.Trace{}, rootcause.Summarize(analysis.Analyze(treetest.Release(t, ""))))
}

// On any tree, all time in which spans work is in some call, once.
func TestSummarizeKeepsAllTime(t *testing.T) {
	kinds := []string{"internal", "server", "client", "producer", "consumer"}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var text strings.Builder
		for id := 1; id <= 1+rng.IntN(15); id++ {
			parent, start := "-", rng.IntN(40)
			if id > 1 && rng.IntN(10) > 0 {
				parent = strconv.FormatInt(int64(1+rng.IntN(id-1)), 16)
			}
			fmt.Fprintf(&text, "s%d %x %s %s %d %d", rng.IntN(3), id, parent, kinds[rng.IntN(len(kinds))], start, start+rng.IntN(30))
			if rng.IntN(3) == 0 {
				text.WriteString(" error name=same")
			}
			if rng.IntN(4) == 0 {
				text.WriteString(" server.address=db")
			}
			text.WriteByte('\n')
		}
		r := analysis.Analyze(treetest.Release(t, text.String()))
		trace := rootcause.Summarize(r)
		var spent, path, self int64
		for i, c := range trace.Calls {
			require.Less(t, c.Caller, i)
			spent += c.Own + c.Wait
			path += c.OwnPath + c.WaitPath
		}
		for i := range r.Spans {
			self += r.Spans[i].SelfTime
		}
		require.GreaterOrEqual(t, spent, self, text.String())
		if !strings.Contains(text.String(), "error") { // what is taken for a pause may be longer than what is left of the caller's time on the path
			require.Equal(t, self, spent, text.String())
			require.Equal(t, r.RootDuration, path, text.String())
		}
	}
}

// A span with very many failed calls is looked through once.
func TestSummarizeWideTrace(t *testing.T) {
	var text strings.Builder
	text.WriteString("a 1 - client 0 1000000\n")
	for id := 2; id <= 30_000; id++ {
		fmt.Fprintf(&text, "a %x 1 client %d %d server.address=db error\n", id, id, id+1)
	}
	trace := rootcause.Summarize(analysis.Analyze(treetest.Release(t, text.String())))
	require.Len(t, trace.Calls, 30_000)
}

// world makes traces of a small system: web asks cart and pay, both ask db.
type world struct {
	rng *rand.Rand
	// slow multiplies own times, failing is the chance that a failure begins, by service.
	slow, failing map[string]float64
	// refused is the chance that calls which a service makes fail where they arrive, and are tried again.
	refused map[string]float64
}

func (w *world) traces(n int) (traces []rootcause.Trace) {
	for range n {
		t := rootcause.Trace{Entry: operation("web", "GET")}
		w.call(&t, -1, "web")
		for _, service := range []string{"cart", "pay"} {
			w.call(&t, w.call(&t, 0, service), "db")
		}
		for i := range t.Calls {
			t.Duration += t.Calls[i].Own + t.Calls[i].Wait
		}
		traces = append(traces, t)
	}
	return traces
}

func (w *world) call(t *rootcause.Trace, caller int, service string) int {
	c := rootcause.Call{Caller: caller, Callee: operation(service, "do"), Virtual: service == "db"}
	if caller >= 0 && w.rng.Float64() < w.refused[t.Calls[caller].Callee.Service] && service != "db" {
		refused := c
		refused.Own, refused.Wait, refused.Failed, refused.Origin = 1e5, 4e7, true, true
		t.Calls = append(t.Calls, refused)
	}
	c.Own = int64(1e6 * math.Exp(0.5*w.rng.NormFloat64()))
	if factor := w.slow[service]; factor > 0 {
		c.Own = int64(float64(c.Own) * factor)
	}
	if caller >= 0 && !c.Virtual {
		c.Wait = int64(3e5 * math.Exp(0.5*w.rng.NormFloat64()))
	}
	if w.rng.Float64() < 0.002+w.failing[service] {
		c.Failed, c.Origin = true, true
		for at := caller; at >= 0; at = t.Calls[at].Caller {
			t.Calls[at].Failed = true
		}
		t.Failed = true
	}
	t.Calls = append(t.Calls, c)
	return len(t.Calls) - 1
}

func TestSuspects(t *testing.T) {
	normal := (&world{rng: rand.New(rand.NewPCG(1, 1))}).traces(2000)
	for name, tt := range map[string]struct {
		world world
		want  []string
	}{
		"as ever":            {world{}, nil},
		"slow":               {world{slow: map[string]float64{"pay": 2}}, []string{"pay"}},
		"a slow database":    {world{slow: map[string]float64{"db": 2}}, []string{"db"}},
		"failing":            {world{failing: map[string]float64{"cart": 0.1}}, []string{"cart"}},
		"two":                {world{failing: map[string]float64{"cart": 0.1}, slow: map[string]float64{"pay": 3}}, []string{"pay", "cart"}},
		"refused":            {world{refused: map[string]float64{"web": 0.3}}, []string{"web"}},
		"all slower alike":   {world{slow: map[string]float64{"web": 1.6, "cart": 1.6, "pay": 1.6}}, nil},
		"all, and one more":  {world{slow: map[string]float64{"web": 1.6, "cart": 1.6, "pay": 5}}, []string{"pay"}},
		"somewhat slower":    {world{slow: map[string]float64{"pay": 1.1}}, nil},
		"faster, less often": {world{slow: map[string]float64{"pay": 0.3}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tt.world.rng = rand.New(rand.NewPCG(2, 2))
			incident := tt.world.traces(1000)
			got := rootcause.Suspects(normal, incident)
			var names []string
			sum := 0.0
			for _, s := range got {
				names = append(names, s.Service)
				require.Equal(t, s.Service == "db", s.Virtual)
				require.Equal(t, name == "refused", s.Caller)
				require.NotEmpty(t, s.Evidence)
				require.True(t, 0 < s.Score && s.Score <= 1, "%v", s.Score)
				sum += s.Confidence
			}
			require.Equal(t, tt.want, names)
			require.LessOrEqual(t, sum, 1+1e-9)
			if len(tt.want) == 1 {
				require.Greater(t, got[0].Confidence, 0.95)
			}
			shuffled := slices.Clone(incident)
			tt.world.rng.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
			again := rootcause.Suspects(normal, shuffled)
			require.Len(t, again, len(got))
			for i := range got {
				require.Equal(t, got[i].Service, again[i].Service)
				require.InDelta(t, got[i].Score, again[i].Score, 1e-9)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	normal := (&world{rng: rand.New(rand.NewPCG(1, 1))}).traces(2000)
	incident := (&world{rng: rand.New(rand.NewPCG(2, 2)), slow: map[string]float64{"pay": 3}, failing: map[string]float64{"pay": 0.2}}).traces(1000)
	got := rootcause.Suspects(normal, incident)
	require.Len(t, got, 1)
	require.Len(t, got[0].Evidence, 2)
	for _, e := range got[0].Evidence {
		require.Equal(t, "do", e.Operation)
		require.Less(t, e.Probability, 1e-6)
		if e.Kind == rootcause.EvidenceErrors {
			require.InDelta(t, 0.2, e.After, 0.04)
			continue
		}
		require.Equal(t, rootcause.EvidenceSelfTime, e.Kind)
		require.InDelta(t, 1e6, e.Before, 5e4)
		require.InDelta(t, 3e6, e.After, 15e4)
	}
}

func TestNobodyWithoutData(t *testing.T) {
	some := (&world{rng: rand.New(rand.NewPCG(1, 1))}).traces(100)
	few := (&world{rng: rand.New(rand.NewPCG(1, 1)), slow: map[string]float64{"pay": 50}}).traces(5)
	for _, windows := range [][2][]rootcause.Trace{{nil, nil}, {some, nil}, {nil, some}, {some, few}, {few, some}, {make([]rootcause.Trace, 3), make([]rootcause.Trace, 3)}} {
		require.Empty(t, rootcause.Suspects(windows[0], windows[1]))
		for _, s := range append(rootcause.TraceRCA(windows[0], windows[1]), rootcause.MicroRank(windows[0], windows[1])...) {
			require.False(t, math.IsNaN(s.Score) || math.IsInf(s.Score, 0))
		}
	}
	single := func(own int64) (traces []rootcause.Trace) {
		for range 50 {
			traces = append(traces, rootcause.Trace{Duration: own, Calls: []rootcause.Call{{Caller: -1, Callee: operation("a", "b"), Own: own}}})
		}
		return traces
	}
	require.Empty(t, rootcause.Suspects(single(1e6), single(1e6)))
	require.Empty(t, rootcause.Suspects(single(0), single(0)))
	require.Equal(t, "a", rootcause.Suspects(single(1e6), single(1e9))[0].Service)
	require.InDelta(t, 1, rootcause.Suspects(single(1), single(math.MaxInt64))[0].Confidence, 1e-6)
}

// Six traces over a, b and c. b is slow in two; a calls it, and is not.
func TestTraceRCA(t *testing.T) {
	trace := func(b, c int64) rootcause.Trace {
		calls := []rootcause.Call{{Caller: -1, Callee: operation("a", "x"), Own: 1e6}}
		if b > 0 {
			calls = append(calls, rootcause.Call{Caller: 0, Callee: operation("b", "x"), Own: b})
		}
		if c > 0 {
			calls = append(calls, rootcause.Call{Caller: 0, Callee: operation("c", "x"), Own: c})
		}
		return rootcause.Trace{Calls: calls}
	}
	var normal []rootcause.Trace
	for i := range int64(40) {
		normal = append(normal, trace(1e6+i, 1e6+i))
	}
	got := rootcause.TraceRCA(normal, []rootcause.Trace{
		trace(9e6, 1e6), trace(9e6, 0), trace(1e6, 1e6), trace(0, 1e6), trace(0, 1e6), trace(1e6, 0),
	})
	// Two of the six are abnormal. a is in all: 2 of 6 = 1/3, times 2 in which it calls abnormally. b is in four: 2 of 4 = 1/2, times 2 in which it is called
	// so. c is in four, in one of the abnormal: 1 of (2 + 4 − 1), times 0.
	require.Len(t, got, 2)
	require.Equal(t, "b", got[0].Service)
	require.InDelta(t, 1, got[0].Score, 1e-12)
	require.Equal(t, "a", got[1].Service)
	require.InDelta(t, 2.0/3, got[1].Score, 1e-12)
}

// Slow traces all have b, and those without it are fast; a is in all of them.
func TestMicroRank(t *testing.T) {
	trace := func(duration int64, services ...string) rootcause.Trace {
		t := rootcause.Trace{Duration: duration}
		for i, s := range services {
			t.Calls = append(t.Calls, rootcause.Call{Caller: min(i, 1) - 1, Callee: operation(s, "x"), Own: 1})
		}
		return t
	}
	var normal, incident []rootcause.Trace
	for i := range int64(100) {
		normal = append(normal, trace(100+i, "a", "b"), trace(100+i, "a", "c"))
		incident = append(incident, trace(1000, "a", "b"), trace(100, "a", "c"))
	}
	got := rootcause.MicroRank(normal, incident)
	require.Equal(t, "b", got[0].Service)
	require.Equal(t, "a", got[1].Service)
	require.Len(t, got, 2)
	require.Greater(t, got[0].Score, 100*got[1].Score)
	require.Empty(t, rootcause.MicroRank(normal, normal[:0]))
}
