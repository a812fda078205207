package late

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// The shop: web GET / (1) → POST (2) → stock take (3) → SELECT (4), a database; web publishes (5) what mail (6) and
// audit (7) process.
var (
	root    = span{trace: 1, id: 1, service: "web", name: "GET /", kind: server, start: 0, end: 100, attributes: "http.request.method=GET"}
	post    = span{trace: 1, id: 2, parent: 1, service: "web", name: "POST", kind: client, start: 10, end: 60, failed: true, attributes: "http.request.method=POST server.address=stock"}
	take    = span{trace: 1, id: 3, parent: 2, service: "stock", name: "take", kind: server, start: 20, end: 50, failed: true, attributes: "rpc.system.name=grpc"}
	query   = span{trace: 1, id: 4, parent: 3, service: "stock", name: "SELECT", kind: client, start: 25, end: 45, attributes: "db.system.name=postgresql db.namespace=goods"}
	publish = span{trace: 1, id: 5, parent: 1, service: "web", name: "publish", kind: producer, start: 70, end: 75, attributes: "messaging.system=kafka messaging.destination.name=orders"}
	mail    = span{trace: 1, id: 6, parent: 5, service: "mail", name: "process", kind: consume, start: 80, end: 90, attributes: "messaging.system=kafka"}
	audit   = span{trace: 1, id: 7, parent: 5, service: "audit", name: "process", kind: consume, start: 85, end: 95, attributes: "messaging.system=kafka"}
)

var (
	webStock   = edge{"web", "stock", "service", "grpc"} // the protocol is the server span's
	stockGoods = edge{"stock", "postgresql:goods", "database", "postgresql"}
	webMail    = edge{"web", "mail", "service", "kafka"}
	webAudit   = edge{"web", "audit", "service", "kafka"}
	entryWeb   = tracestore.Operation{Service: "web", Operation: "GET /"}
)

// TestLateSpans releases the groups of spans one after the other. The edges are those of the whole trace, worked out by hand, at
// each step.
func TestLateSpans(t *testing.T) {
	type step struct {
		spans      []span
		edges      map[edge]counts
		unrepaired int64
	}
	whole := map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}, webMail: {1, 0}, webAudit: {1, 0}}
	for name, steps := range map[string][]step{
		"a late server takes the virtual call back": {
			{[]span{root, post}, map[edge]counts{{"web", "stock", "external", "http"}: {1, 1}}, 0},
			{[]span{take}, map[edge]counts{webStock: {1, 1}}, 0},
			{[]span{query}, map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}}, 0},
		},
		"a late client brings the call of the orphan": {
			{[]span{root, take, query}, map[edge]counts{stockGoods: {1, 0}}, 1},
			{[]span{post}, map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}}, 0},
		},
		"one producer, two consumers": {
			{[]span{root, mail, audit}, map[edge]counts{}, 2},
			{[]span{publish}, map[edge]counts{webMail: {1, 0}, webAudit: {1, 0}}, 0},
		},
		"two late consumers take one call back": {
			{[]span{root, publish}, map[edge]counts{{"web", "orders", "queue", "kafka"}: {1, 0}}, 0},
			{[]span{mail, audit}, map[edge]counts{webMail: {1, 0}, webAudit: {1, 0}}, 0},
		},
		"one consumer was there": {
			{[]span{root, publish, mail}, map[edge]counts{webMail: {1, 0}}, 0},
			{[]span{audit}, map[edge]counts{webMail: {1, 0}, webAudit: {1, 0}}, 0},
		},
		"parent and child in one late fragment": {
			{[]span{root}, map[edge]counts{}, 0},
			{[]span{take, post}, map[edge]counts{webStock: {1, 1}}, 0},
		},
		"the parent in an earlier late fragment": {
			{[]span{root}, map[edge]counts{}, 0},
			{[]span{post}, map[edge]counts{{"web", "stock", "external", "http"}: {1, 1}}, 0},
			{[]span{take}, map[edge]counts{webStock: {1, 1}}, 0},
		},
		"the child in an earlier late fragment": {
			{[]span{root}, map[edge]counts{}, 0},
			{[]span{take}, map[edge]counts{}, 1},
			{[]span{post}, map[edge]counts{webStock: {1, 1}}, 0},
		},
		"a late database call": {
			{[]span{root, post, take}, map[edge]counts{webStock: {1, 1}}, 0},
			{[]span{query}, map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}}, 0},
		},
		"a late span of the same service takes nothing back": {
			{[]span{root, post}, map[edge]counts{{"web", "stock", "external", "http"}: {1, 1}}, 0},
			{
				[]span{{trace: 1, id: 9, parent: 2, service: "web", name: "connect", kind: internal, start: 11, end: 12}},
				map[edge]counts{{"web", "stock", "external", "http"}: {1, 1}},
				0,
			},
			{[]span{take}, map[edge]counts{webStock: {1, 1}}, 0},
		},
		"a late parent of the same service repairs the orphan": {
			{[]span{root, query}, map[edge]counts{stockGoods: {1, 0}}, 1},
			{[]span{take}, map[edge]counts{stockGoods: {1, 0}}, 1}, // take misses post now
			{[]span{post}, map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}}, 0},
		},
		"one after the other, children first": {
			{[]span{query}, map[edge]counts{stockGoods: {1, 0}}, 1},
			{[]span{take}, map[edge]counts{stockGoods: {1, 0}}, 1},
			{[]span{mail}, map[edge]counts{stockGoods: {1, 0}}, 2},
			{[]span{post}, map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}}, 2},
			{[]span{audit}, map[edge]counts{webStock: {1, 1}, stockGoods: {1, 0}}, 3},
			{[]span{publish}, whole, 2}, // post and publish miss root
			{[]span{root}, whole, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, nil)
				for i, step := range steps {
					p.send(step.spans...)
					got := p.sums()
					require.Equal(t, step.edges, got.edges, "step %d", i)
					require.Equal(t, step.unrepaired, got.unrepaired, "step %d", i)
				}
				p.stop()
			})
		})
	}
}

// TestLateEnvironments: a call is counted in the environment of the span that shows it, also where that came first and the
// other one came late.
func TestLateEnvironments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, nil)
		here, there := post, take
		here.env, there.env = "here", "there"
		p.send(root, here)
		p.send(there)
		one := p.sums()
		p.stop()
		p = start(t, nil)
		p.send(root, there)
		p.send(here)
		two := p.sums()
		require.Equal(t, map[edge]counts{webStock: {1, 1}}, one.edges)
		require.Equal(t, one, two)
		for _, env := range []string{"here", "there"} {
			calls := int64(0)
			for e, err := range p.store.Edges(t.Context(), "", everything(&env)) {
				require.NoError(t, err)
				calls += e.Calls
			}
			require.Equal(t, map[string]int64{"here": 0, "there": 1}[env], calls, env)
		}
		p.stop()
	})
}

// TestLateEntry counts a trace once, under the entry that it turns out to have, and as failed once it is.
func TestLateEntry(t *testing.T) {
	ok := take
	ok.failed = false
	other := root
	other.id, other.name, other.start = 8, "GET /later", 5
	for name, steps := range map[string][]struct {
		spans []span
		want  map[tracestore.Operation]counts
	}{
		"the root is late": {
			{[]span{ok, query}, map[tracestore.Operation]counts{{Service: "stock", Operation: "take"}: {1, 0}}},
			{[]span{post}, map[tracestore.Operation]counts{{Service: "stock", Operation: "take"}: {1, 1}}}, // until the root comes
			{[]span{root}, map[tracestore.Operation]counts{entryWeb: {1, 1}}},
		},
		"an earlier root is late": {
			{[]span{other}, map[tracestore.Operation]counts{{Service: "web", Operation: "GET /later"}: {1, 0}}},
			{[]span{root, take}, map[tracestore.Operation]counts{entryWeb: {1, 1}}},
			{[]span{post}, map[tracestore.Operation]counts{entryWeb: {1, 1}}},
		},
		"a later root is late": {
			{[]span{root}, map[tracestore.Operation]counts{entryWeb: {1, 0}}},
			{[]span{other}, map[tracestore.Operation]counts{entryWeb: {1, 0}}},
			{[]span{post, take}, map[tracestore.Operation]counts{entryWeb: {1, 1}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, nil)
				for i, step := range steps {
					p.send(step.spans...)
					require.Equal(t, step.want, p.sums().entries, "step %d", i)
				}
				p.stop()
			})
		})
	}
}

// TestManyOrphans has 200 calls of one late root: the first 64 one by one, then what is alike together.
func TestManyOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, nil)
		var orphans []span
		for id := byte(2); id < 202; id++ {
			s := take
			s.id, s.parent, s.failed = id, 1, id%2 == 0
			if id >= 152 {
				s.service = "web" // the root's own
			}
			orphans = append(orphans, s)
		}
		p.send(orphans...)
		require.EqualValues(t, 200, p.sums().unrepaired)
		p.send(root)
		got := p.sums()
		require.Equal(t, map[edge]counts{webStock: {150, 75}}, got.edges)
		require.Zero(t, got.unrepaired)
		require.Equal(t, map[tracestore.Operation]counts{entryWeb: {1, 1}}, got.entries)
		p.stop()
	})
}

// TestLateHalves: both halves of a call share one span id, as Zipkin's clients send them, and one of them is late.
func TestLateHalves(t *testing.T) {
	half := take
	half.id, half.parent = post.id, root.id // the client half's
	for name, steps := range map[string][][]span{
		"server half": {{root, post}, {half}},
		"client half": {{root, half}, {post}},
		"apart":       {{root}, {post}, {half}},
		"reverse":     {{root}, {half}, {post}},
		"together":    {{root}, {half, post}},
		"whole":       {{root, post, half}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, nil)
				for _, spans := range steps {
					p.send(spans...)
				}
				got := p.sums()
				require.Equal(t, map[edge]counts{webStock: {1, 1}}, got.edges)
				require.Zero(t, got.unrepaired)
				p.stop()
			})
		})
	}
}

// TestConflictingSpans: a span whose identity came before with other times is in no sum, and takes nothing back.
func TestConflictingSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, nil)
		again, other := take, post
		again.end, other.end = 51, 61
		p.send(root, take)
		p.send(again)
		require.Empty(t, p.sums().edges)
		p.send(post)
		p.send(other)
		require.Equal(t, map[edge]counts{webStock: {1, 1}}, p.sums().edges)
		require.Zero(t, p.sums().unrepaired)
		p.stop()
	})
}

// TestAfterTheWindow: what comes later is a trace of its own, and says so.
func TestAfterTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, nil)
		p.send(root, post)
		for range 6 {
			p.send()
		}
		p.send(take)
		got := p.sums()
		require.Equal(t, map[edge]counts{{"web", "stock", "external", "http"}: {1, 1}}, got.edges)
		require.EqualValues(t, 1, got.unrepaired)
		p.stop()
	})
}
