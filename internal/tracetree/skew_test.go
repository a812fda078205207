package tracetree_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// The clock of b's host is 5000 ahead. A resource that names no host is one itself.
func TestClockSkewOfHosts(t *testing.T) {
	for _, tt := range []struct {
		name, spans, want string
		hosts             map[string]string // by service
	}{
		{
			// The network takes 20 there and 20 back, 10 and 30, 40 and 10: the calls say 150-5150 = -5000, 350-5340 = -4990 and
			// 550-5565 = -5015.
			name: "the median of three calls",
			spans: `
				a 1 - server   0 1000
				a 2 1 client   100 200
				b 3 2 server   5120 5180
				a 4 1 client   300 400
				b 5 4 server   5310 5370
				b 6 5 internal 5320 5330
				a 7 1 client   500 600
				b 8 7 server   5540 5590`,
			want: `
				1 server 0-1000 entry
				 2 client 100-200
				  3 server 120-180 shift -5000
				 4 client 300-400
				  5 server 310-370 shift -5000
				   6 internal 320-330 shift -5000
				 7 client 500-600
				  8 server 540-590 shift -5000`,
		},
		{
			// -4990 and -5000: between them.
			name: "of two calls the middle",
			spans: `
				a 1 - server 0 1000
				a 2 1 client 100 200
				b 3 2 server 5110 5170
				a 4 1 client 300 400
				b 5 4 server 5320 5380`,
			want: `
				1 server 0-1000 entry
				 2 client 100-200
				  3 server 115-175 shift -4995
				 4 client 300-400
				  5 server 325-385 shift -4995`,
		},
		{
			// -5000, -5000, 540-5500 = -4960 and 690-5725 = -5035. By -5000 the last two would be 495-505 in 500-580, and 715-735
			// in 650-730.
			name: "where the median does not fit, the nearest that does",
			spans: `
				a 1 - server 0 1000
				a 2 1 client 100 200
				b 3 2 server 5120 5180
				a 4 1 client 300 400
				b 5 4 server 5310 5390
				a 6 1 client 500 580
				b 7 6 server 5495 5505
				a 8 1 client 650 730
				b 9 8 server 5715 5735`,
			want: `
				1 server 0-1000 entry
				 2 client 100-200
				  3 server 120-180 shift -5000
				 4 client 300-400
				  5 server 310-390 shift -5000
				 6 client 500-580
				  7 server 500-510 shift -4995
				 8 client 650-730
				  9 server 710-730 shift -5005`,
		},
		{
			// Without the first call, 5 would start with its client, at 300.
			name: "a call that its client gave up says nothing, and is told by the others",
			spans: `
				a 1 - server 0 1000
				a 2 1 client 100 200
				b 3 2 server 5120 5180
				a 4 1 client 300 350
				b 5 4 server 5310 5470`,
			want: `
				1 server 0-1000 entry
				 2 client 100-200
				  3 server 120-180 shift -5000
				 4 client 300-350
				  5 server 310-470 shift -5000`,
		},
		{
			// By its own clock 5 lies in 4, so it says nothing of the clocks and stays.
			name: "a server that fits stays, whatever the others say",
			spans: `
				a 1 - server 0 9000
				a 2 1 client 100 200
				b 3 2 server 5120 5180
				a 4 1 client 300 9000
				b 5 4 server 5310 5370`,
			want: `
				1 server 0-9000 entry
				 2 client 100-200
				  3 server 120-180 shift -5000
				 4 client 300-9000
				  5 server 5310-5370`,
		},
		{
			// Both are on n1, whose calls say -4990 and -5000, as b's did above.
			name: "two services on one host have one clock",
			spans: `
				a 1 - server 0 1000
				a 2 1 client 100 200
				b 3 2 server 5110 5170
				a 4 1 client 300 400
				c 5 4 server 5320 5380`,
			hosts: map[string]string{"a": "n0", "b": "n1", "c": "n1"},
			want: `
				1 server 0-1000 entry
				 2 client 100-200
				  3 server 115-175 shift -4995
				 4 client 300-400
				  5 server 325-385 shift -4995`,
		},
		{
			name: "and on two hosts two",
			spans: `
				a 1 - server 0 1000
				a 2 1 client 100 200
				b 3 2 server 5110 5170
				a 4 1 client 300 400
				c 5 4 server 5320 5380`,
			hosts: map[string]string{"b": "n1", "c": "n2"},
			want: `
				1 server 0-1000 entry
				 2 client 100-200
				  3 server 120-180 shift -4990
				 4 client 300-400
				  5 server 320-380 shift -5000`,
		},
		{
			// b's clock is 5000 ahead. Its calls of c say 5250-50 = 5200 and 5450-240 = 5210, so 5205, and -5000 + 5205 = 205.
			name: "clocks of two hosts below each other",
			spans: `
				a 1 - client 0 1000
				b 2 1 server 5100 5900
				b 3 2 client 5200 5300
				c 4 3 server 20 80
				b 5 2 client 5400 5500
				c 6 5 server 210 270`,
			want: `
				1 client 0-1000 entry
				 2 server 100-900 shift -5000
				  3 client 200-300 shift -5000
				   4 server 225-285 shift +205
				  5 client 400-500 shift -5000
				   6 server 415-475 shift +205`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			release := treetest.Release(t, tt.spans)
			for service, host := range tt.hosts {
				for _, s := range release.Spans {
					if s.Service() == service {
						s.Resource.Attributes().PutStr("host.name", host)
					}
				}
			}
			want := strings.ReplaceAll(strings.TrimPrefix(tt.want, "\n"), "\t", "") + "\n"
			require.Equal(t, want, draw(tracetree.Build(release.Spans)))
			r := rand.New(rand.NewPCG(1, 2))
			for range 5 {
				shuffle(r, release.Spans)
				require.Equal(t, want, draw(tracetree.Build(release.Spans)), "in another order")
			}
		})
	}
}

func shuffle(r *rand.Rand, spans []tracetree.Span) {
	r.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
}

// Wherever most of the calls between two hosts take as long there as back, every span comes out where it truly was, those of the
// other calls too.
func TestClockSkewFindsTheTrueTimes(t *testing.T) {
	const base = int64(1e12)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		var (
			td    = ptrace.NewTraces()
			spans []tracetree.Span
			truth = make(map[pcommon.SpanID]int64)
		)
		type machine struct {
			resource pcommon.Resource
			ahead    int64
		}
		newMachine := func(ahead int64) machine {
			resource := td.ResourceSpans().AppendEmpty().Resource()
			resource.Attributes().PutInt("machine", int64(td.ResourceSpans().Len()))
			return machine{resource, ahead}
		}
		add := func(m machine, parent pcommon.SpanID, kind ptrace.SpanKind, start, end int64) pcommon.SpanID {
			span := ptrace.NewSpan()
			span.SetSpanID(treetest.ID(uint64(len(spans) + 1)))
			span.SetParentSpanID(parent)
			span.SetKind(kind)
			span.SetStartTimestamp(pcommon.Timestamp(start + m.ahead))
			span.SetEndTimestamp(pcommon.Timestamp(end + m.ahead))
			spans = append(spans, tracetree.Span{Span: span, Resource: m.resource, Scope: pcommon.NewInstrumentationScope()})
			truth[span.SpanID()] = start
			return span.SpanID()
		}
		// serve adds what a server does from start to end: five calls of another machine, two of which take longer one way than the other.
		var serve func(m machine, span pcommon.SpanID, start, end int64, depth int)
		serve = func(m machine, span pcommon.SpanID, start, end int64, depth int) {
			slot := (end - start) / 5
			callee := newMachine((1 + r.Int64N(1000)) * 1e8) // more than the whole trace apart
			odd := r.IntN(5)
			for call := range 5 {
				from := start + int64(call)*slot
				client := add(m, span, ptrace.SpanKindClient, from, from+slot)
				there := 1 + r.Int64N(slot/4)
				back := there
				if call == odd || call == (odd+1)%5 {
					back = 1 + r.Int64N(slot/4)
				}
				server := add(callee, client, ptrace.SpanKindServer, from+there, from+slot-back)
				add(callee, server, ptrace.SpanKindInternal, from+there, from+there+1)
				if depth > 0 && call == 0 {
					serve(callee, server, from+there, from+slot-back, depth-1)
				}
			}
		}
		root := newMachine(0)
		entry := add(root, pcommon.SpanID{}, ptrace.SpanKindServer, base, base+1e7)
		serve(root, entry, base, base+1e7, 3)
		shuffle(r, spans)
		tree := tracetree.Build(spans)
		for i := range tree.Nodes {
			n := &tree.Nodes[i]
			require.Equal(t, truth[n.SpanID()], n.Start, "seed %d, span %s", seed, n.SpanID())
		}
	}
}

// However clocks and spans lie, a server span fits into its client span afterwards, or starts there if it is longer; and the order
// of the spans does not matter.
func TestClockSkewMakesServersFit(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 4))
		spans := hostile(40, func(i int, span ptrace.Span) {
			span.SetSpanID(treetest.ID(uint64(i + 1)))
			span.SetParentSpanID(treetest.ID(uint64(r.IntN(i + 1))))
			span.SetKind([]ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}[r.IntN(2)])
			start := 1000 + r.IntN(100)
			span.SetStartTimestamp(pcommon.Timestamp(start))
			span.SetEndTimestamp(pcommon.Timestamp(start + r.IntN(30)))
		})
		var hosts [3]pcommon.Resource
		for i := range hosts {
			hosts[i] = pcommon.NewResource()
			hosts[i].Attributes().PutInt("machine", int64(i))
		}
		for i := range spans {
			spans[i].Resource = hosts[r.IntN(len(hosts))]
		}
		tree := tracetree.Build(spans)
		for i := range tree.Nodes {
			n := &tree.Nodes[i]
			if n.Parent < 0 || n.Kind() != ptrace.SpanKindServer || tree.Nodes[n.Parent].Kind() != ptrace.SpanKindClient {
				continue
			}
			client := &tree.Nodes[n.Parent]
			require.GreaterOrEqual(t, n.Start, client.Start)
			if n.Duration() <= client.Duration() {
				require.LessOrEqual(t, n.End, client.End)
			}
			require.LessOrEqual(t, n.Start, client.End)
		}
		want := draw(tree)
		shuffle(r, spans)
		require.Equal(t, want, draw(tracetree.Build(spans)))
	}
}

// BenchmarkBuildSkewed builds the tree of ten calls to a host whose clock is ahead.
func BenchmarkBuildSkewed(b *testing.B) {
	spans := hostile(20, func(i int, span ptrace.Span) {
		span.SetSpanID(treetest.ID(uint64(i+1) * 0x9e3779b97f4a7c15))
		span.SetKind(ptrace.SpanKindClient)
		ahead := 0
		if i%2 == 1 {
			span.SetParentSpanID(treetest.ID(uint64(i) * 0x9e3779b97f4a7c15))
			span.SetKind(ptrace.SpanKindServer)
			ahead = 50_000
		}
		span.SetStartTimestamp(pcommon.Timestamp(1_000 + i + ahead))
		span.SetEndTimestamp(pcommon.Timestamp(9_000 - 3*i + ahead))
	})
	var builder tracetree.Builder
	b.ReportAllocs()
	for b.Loop() {
		builder.Build(spans)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/span")
}
