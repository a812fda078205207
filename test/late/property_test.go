package late

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// unnamed is a service whose sender names none: its name comes from its workload.
const unnamed = "s44"

// shop makes random traces of services that call services, databases and queues with consumers. Some fail, some calls are not
// answered, some spans never come.
type shop struct {
	*rand.Rand
	spans []span
	clock int
}

func (r *shop) chance(percent int) bool { return r.IntN(100) < percent }

// add adds a span and returns its id.
func (r *shop) add(trace, parent byte, service, name string, kind span, attributes string) byte {
	r.clock += 1 + r.IntN(5)
	id := byte(1)
	for _, s := range r.spans {
		if s.trace == trace {
			id = max(id, s.id+1)
		}
	}
	env := ""
	if len(service)%2 == 0 {
		env = fmt.Sprint("env", service[1]%2)
	}
	r.spans = append(r.spans, span{
		trace: trace, id: id, parent: parent, service: service, env: env, name: name, kind: kind.kind,
		start: r.clock, end: r.clock + 1 + r.IntN(100), failed: r.chance(15), attributes: attributes,
	})
	return id
}

func (r *shop) trace(trace byte) {
	r.clock = int(trace) * 1000
	r.serve(trace, 0, "web", 0)
	for r.chance(10) {
		r.serve(trace, 0, "jobs", 2) // another root
	}
}

func (r *shop) service() string {
	return []string{"web", "s1", "s22", "s3", "s44", "jobs", "mail"}[r.IntN(7)]
}

// serve is a server span, or one of another kind that stands for a service, and what is below it.
func (r *shop) serve(trace, parent byte, service string, depth int) {
	kind := []span{{kind: server}, {kind: server}, {kind: consume}, {kind: internal}}[r.IntN(4)]
	protocol := []string{"", "http.request.method=GET", "rpc.system=grpc"}[r.IntN(3)]
	id := r.add(trace, parent, service, []string{"op", "other op", fmt.Sprint("GET /carts/", r.IntN(100))}[r.IntN(3)], kind, protocol)
	for range r.IntN(4) {
		switch r.IntN(6) {
		case 0:
			r.add(trace, id, service, "compute", span{kind: internal}, "")
		case 1:
			r.add(trace, id, service, "SELECT", span{kind: client}, "db.system.name=mysql db.namespace=db"+fmt.Sprint(r.IntN(2)))
		case 2: // a queue with consumers, or none
			queue := r.add(trace, id, service, "publish", span{kind: producer}, "messaging.system=kafka messaging.destination.name=topic")
			for range r.IntN(4) {
				r.serveBelow(trace, queue, r.service(), depth)
			}
		case 3: // somebody else's
			r.add(trace, id, service, "GET", span{kind: client}, "http.method=GET server.address=api.example.com")
		default:
			callee := r.service()
			peer := []string{"peer.service=" + callee, "server.address=" + callee, ""}[r.IntN(3)]
			call := r.add(trace, id, service, "POST", span{kind: client}, peer+" http.request.method=POST")
			if r.chance(10) {
				call = r.add(trace, call, service, "connect", span{kind: internal}, "")
			}
			for range []int{0, 1, 1, 1, 1, 2}[r.IntN(6)] { // unanswered, answered, retried below one span
				r.serveBelow(trace, call, callee, depth)
			}
		}
	}
}

func (r *shop) serveBelow(trace, parent byte, service string, depth int) {
	if depth < 3 && len(r.spans) < 200 {
		r.serve(trace, parent, service, depth+1)
	}
}

// TestSumsAreThoseOfWholeTraces releases the same traces whole, and in random pieces in any order, in parts and in interim
// releases, and compares all sums.
func TestSumsAreThoseOfWholeTraces(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { compareSums(t, rand.New(rand.NewPCG(seed, 11))) })
		})
	}
}

func compareSums(t *testing.T, rng *rand.Rand) {
	r := &shop{Rand: rng}
	var all []span
	for trace := range byte(1 + rng.IntN(6)) {
		r.spans = nil
		r.trace(trace)
		for _, s := range r.spans {
			if s.parent == 0 || !r.chance(3) { // else it never comes
				all = append(all, s)
			}
		}
	}
	whole := start(t, nil)
	whole.send(all...)
	want := whole.sums()
	whole.stop()

	parts, interims := rng.IntN(3) == 0, rng.IntN(3) == 0
	split := start(t, func(c *traceassemblyprocessor.Config) {
		c.LateWindow = time.Hour
		if parts {
			c.MaxTraceSpans = 1 + rng.IntN(20)
			c.MaxPartBytes = 1 + rng.Int64N(2000)
		}
		if interims {
			c.InterimInterval = time.Duration(1+rng.IntN(3000)) * time.Millisecond
		}
	})
	pieces := make([][]span, 1+rng.IntN(6))
	for _, at := range rng.Perm(len(all)) {
		i := rng.IntN(len(pieces))
		if rng.IntN(2) == 0 {
			i = 0 // most of a trace is there in time
		}
		pieces[i] = append(pieces[i], all[at])
	}
	for _, piece := range pieces {
		for len(piece) > 0 {
			n := 1 + rng.IntN(len(piece))
			require.NoError(t, split.entry.ConsumeTraces(t.Context(), request(piece[:n]...)))
			if rng.IntN(5) == 0 {
				require.NoError(t, split.entry.ConsumeTraces(t.Context(), request(piece[:n]...))) // twice
			}
			piece = piece[n:]
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		split.send()
	}
	got := split.sums()
	split.stop()
	require.Equal(t, want.edges, got.edges)
	require.Equal(t, want.durations, got.durations)
	require.Equal(t, want.operations, got.operations)
	require.Equal(t, want.entries, got.entries)
	require.Equal(t, want.unrepaired, got.unrepaired)
}
