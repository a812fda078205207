package analysis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	traffic "github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// milliseconds makes milliseconds of a release's nanoseconds.
func milliseconds(release *tracetree.Release) *tracetree.Release {
	for _, s := range release.Spans {
		s.SetStartTimestamp(s.StartTimestamp() * 1e6)
		s.SetEndTimestamp(s.EndTimestamp() * 1e6)
	}
	return release
}

// findingsOf writes each finding as "kind at: spans, count, milliseconds on the path, confidence".
func findingsOf(release *tracetree.Release) string {
	r := analysis.Analyze(release)
	var out []string
	for _, f := range analysis.FindPatterns(r) {
		var spans []string
		for _, i := range f.Spans {
			spans = append(spans, nameOf(r.Tree, i))
		}
		out = append(out, fmt.Sprintf("%s %s: %s (%d), %dms, %.2f", f.Kind, nameOf(r.Tree, f.At), strings.Join(spans, " "),
			f.SpanCount, f.CriticalPathTime/1e6, f.Confidence))
	}
	return strings.Join(out, "; ")
}

// steps writes n client spans below 1, each of 5 ms, one every 8 ms from 10 ms on, with ids from hex 10 on.
func steps(n int, further func(i int) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "a 1 - server 0 %d name=GET_/list\n", 20+8*n)
	for i := range n {
		fmt.Fprintf(&b, "a %x 1 client %d %d name=SELECT db.system.name=postgresql db.namespace=shop %s\n",
			16+i, 10+8*i, 15+8*i, further(i))
	}
	return b.String()
}

func statement(i int) string {
	return fmt.Sprintf("db.query.text=SELECT_name_FROM_items_WHERE_id_=_%d_AND_kind_=_'it_%d'", i, i)
}

// Expected values were worked out by hand; one column of a drawing is 10 ms or so.
var goldenFindings = []struct{ name, spans, want string }{
	{
		//  1  |------------------------|   0-100, 10 queries of 5 ms, 3 ms apart
		//  10   || || || || || || …        10 x 5 ms on the path, one of which would stay: 45
		// The queries differ in their literals only.
		name:  "ten queries one after the other",
		spans: steps(10, statement),
		want:  "n_plus_one 1: 10 11 12 13 14 15 16 17 18 19 (10), 45ms, 1.00",
	},
	{
		// 9 are too few to be N+1, and for serial calls 8 x 5 ms of 92 are enough.
		name:  "nine queries one after the other",
		spans: steps(9, statement),
		want:  "serial_calls 1: 10 11 12 13 14 15 16 17 18 (9), 40ms, 0.60",
	},
	{
		// 25 queries: 24 x 5 ms; 20 of them are listed.
		name:  "more calls than are listed",
		spans: steps(25, statement),
		want:  "n_plus_one 1: 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21 22 23 (25), 120ms, 1.00",
	},
	{
		// Durations 1 1 1 1 10 10 10 100 100 100: only three are near the median of 10. Side by side they would take 100 of 334.
		name: "ten queries of all durations",
		spans: "a 1 - server 0 340\n" + strings.Join(func() (lines []string) {
			at := 0
			for i, d := range []int{1, 1, 1, 1, 10, 10, 10, 100, 100, 100} {
				lines = append(lines, fmt.Sprintf("a %x 1 client %d %d name=SELECT db.system.name=x", 16+i, at, at+d))
				at += d
			}
			return lines
		}(), "\n"),
		want: "serial_calls 1: 10 11 12 13 14 15 16 17 18 19 (10), 234ms, 0.60",
	},
	{
		// Each query asks another table: they could run side by side, but no single query asks for all. 9 x 5 of 100.
		name:  "ten different queries",
		spans: steps(10, func(i int) string { return fmt.Sprintf("db.query.text=SELECT_x_FROM_table%c", 'a'+i) }),
		want:  "serial_calls 1: 10 11 12 13 14 15 16 17 18 19 (10), 45ms, 0.30",
	},
	{
		//  1  |-----|     0-50
		//  10   |--|      10-40, all at the same time: side by side already
		name: "ten queries side by side",
		spans: "a 1 - server 0 50\n" + strings.Join(func() (lines []string) {
			for i := range 10 {
				lines = append(lines, fmt.Sprintf("a %x 1 client 10 %d name=SELECT db.system.name=postgresql", 16+i, 31+i))
			}
			return lines
		}(), "\n"),
	},
	{
		//  1  |-----------------|   0-200
		//  2    |---|               10-50   40 to user
		//  4          |------|      60-130  70 to cart
		//  6                   |-|  140-160 20 to ads; of the 130 the longest stays: 60
		name: "calls that could run side by side",
		spans: `
			a 1 - server 0 200
			a 2 1 client 10 50
			user 3 2 server 12 48
			a 4 1 client 60 130
			cart 5 4 server 62 128
			a 6 1 client 140 160
			ads 7 6 server 142 158`,
		want: "serial_calls 1: 2 4 6 (3), 60ms, 0.30",
	},
	{
		//  1  |-----------------|   0-200
		//  2    |----------|        10-120
		//  4       |------|         20-90   inside 2: not on the path
		//  6                   |-|  140-150 10 of 200 is less than a quarter
		name: "calls that already run side by side",
		spans: `
			a 1 - server 0 200
			a 2 1 client 10 120
			user 3 2 server 12 118
			a 4 1 client 20 90
			cart 5 4 server 22 88
			a 6 1 client 140 150
			ads 7 6 server 142 148`,
	},
	{
		//  1  |-------------------|     0-200
		//  2    |-- failed              10-30
		//  4          |-- failed        50-70
		//  6                |-----|     90-190
		// Two failed tries of 20 and two pauses of 20; no other calls of this kind.
		name: "two tries fail",
		spans: `
			a 1 - server 0 200 name=GET_/
			a 2 1 client 10 30 name=Reserve error=unavailable
			b 3 2 server 12 28 name=Reserve error=unavailable
			a 4 1 client 50 70 name=Reserve error=unavailable
			b 5 4 server 52 68 name=Reserve error=unavailable
			a 6 1 client 90 190 name=Reserve
			b 7 6 server 92 188 name=Reserve`,
		want: "retries 1: 2 4 6 (3), 80ms, 0.80",
	},
	{
		// The same, and it fails for good.
		name: "all tries fail",
		spans: `
			a 1 - server 0 100 error
			a 2 1 client 10 30 name=Reserve error
			a 4 1 client 50 90 name=Reserve error`,
		want: "retries 1: 2 4 (2), 40ms, 0.50",
	},
	{
		//  1  |------------|            0-45
		//  2    |-- failed              5-30
		//  4        |-- failed          10-40  begins before 2 has failed
		name: "failed calls side by side",
		spans: `
			a 1 - server 0 45
			a 2 1 client 5 30 name=Reserve error
			a 4 1 client 10 40 name=Reserve error`,
	},
	{
		// What failed and what followed ask for different rows.
		name: "another call after a failed one",
		spans: `
			a 1 - server 0 55
			a 2 1 client 10 30 name=SELECT db.system.name=x db.query.text=SELECT_1 error
			a 4 1 client 30 50 name=SELECT db.system.name=x db.query.text=SELECT_2`,
	},
	{
		//  1  |----------------|       0-65
		//  2    |--|                   10-30 fails: a wrapper around one query each, as libraries write them
		//  4           |--|            40-60 20 and a pause of 10
		name: "tries inside of wrappers",
		spans: `
			a 1 - server   0 65
			a 2 1 internal 10 30 name=repository.find error
			a 3 2 client   11 29 name=SELECT db.system.name=x error
			a 4 1 internal 40 60 name=repository.find
			a 5 4 client   41 59 name=SELECT db.system.name=x`,
		want: "retries 1: 2 4 (2), 30ms, 0.80",
	},
	{
		//  1  |-------------|          0-80
		//  2    |----|                 10-40  stock sends 5, and nothing for 2
		//  4             |-|           60-65
		name: "a known service without its span",
		spans: `
			a 1 - server 0 80
			a 2 1 client 10 40 server.address=stock.shop.svc.cluster.local
			a 4 1 client 60 65 name=other server.address=stock
			stock 5 4 server 61 64`,
		want: "missing_instrumentation 2: 2 (1), 30ms, 0.90",
	},
	{
		// 30 to a service that the caller names, 20 to a host of the inside; costs are by service.
		name: "services that send nothing",
		spans: `
			a 1 - server 0 40
			a 2 1 client 0 15 name=get service.peer.name=stock
			a 3 1 client 15 30 name=get service.peer.name=stock
			b 4 1 client 0 20 name=x url.full=http://legacy:8080/x`,
		want: "missing_instrumentation 2: 2 3 (2), 30ms, 0.60; serial_calls 1: 2 3 (2), 15ms, 0.60; " +
			"missing_instrumentation 4: 4 (1), 0ms, 0.40",
	},
	{
		// A database, a queue, a host of the internet, an object store, an address, a failed call, and one whose client span has
		// another below it.
		name: "calls that need no server span",
		spans: `
			a 1 - server 9 15
			a 2 1 client 10 11 db.system.name=postgresql server.address=db
			a 3 1 producer 10 11 messaging.system=kafka messaging.destination.name=mails
			a 4 1 client 10 11 server.address=api.bank.example
			a 5 1 client 10 11 rpc.service=S3 server.address=minio
			a 6 1 client 10 11 server.address=10.0.0.7
			a 7 1 client 10 11 server.address=stock error
			a 8 1 client 10 12 server.address=stock
			a 9 8 client 10 11 server.address=api.bank.example`,
	},
	{
		//  1  |-------------------|    0-60
		//  2   |--|                    5-15   the same statement to the letter: 10 and 5 after the first
		//  3         |--|              20-30
		//  4               |-|         40-45
		//  5                 ||        45-47  another literal
		name: "the same query three times",
		spans: `
			a 1 - server 0 60
			a 2 1 client 5 15 name=SELECT db.system.name=x db.query.text=SELECT_a_WHERE_id=1
			a 3 1 client 20 30 name=SELECT db.system.name=x db.query.text=SELECT_a_WHERE_id=1
			a 4 1 client 40 45 name=SELECT db.system.name=x db.query.text=SELECT_a_WHERE_id=1
			a 5 1 client 45 47 name=SELECT db.system.name=x db.query.text=SELECT_a_WHERE_id=2`,
		want: "repeated_query 2: 2 3 4 (3), 15ms, 0.90",
	},
	{
		// Somewhere in the trace, 2 and 3 ms after the first, with a write, and once by another service; parameters tell 4 apart.
		name: "the same parameters three times, and a write",
		spans: `
			a 1 - server 0 20
			a 2 1 client 0 1 name=SELECT db.system.name=x db.query.text=SELECT_$1 db.query.parameter.0=7
			a 3 1 internal 1 8
			a 4 3 client 1 2 name=SELECT db.system.name=x db.query.text=SELECT_$1 db.query.parameter.0=8
			a 5 3 client 2 4 name=SELECT db.system.name=x db.query.text=SELECT_$1 db.query.parameter.0=7
			a 6 1 client 4 5 name=UPDATE db.system.name=x db.query.text=UPDATE_y
			a 7 1 client 9 12 name=SELECT db.system.name=x db.query.text=SELECT_$1 db.query.parameter.0=7
			b 8 1 client 13 14 name=SELECT db.system.name=x db.query.text=SELECT_$1 db.query.parameter.0=7`,
		want: "repeated_query 2: 2 5 7 (3), 5ms, 0.50",
	},
	{
		// Nobody knows the parameters, and writes are not repeated queries. (What they would save side by side is not worth a word.)
		name: "statements that only look the same",
		spans: `
			a 1 - server 0 8
			a 2 1 client 0 1 db.system.name=x db.query.text=SELECT_$1
			a 3 1 client 1 2 db.system.name=x db.query.text=SELECT_$1
			a 4 1 client 2 3 db.system.name=x db.query.text=SELECT_$1
			a 5 1 client 3 4 db.system.name=x db.query.text=INSERT_1
			a 6 1 client 4 5 db.system.name=x db.query.text=INSERT_1
			a 7 1 client 5 6 db.system.name=x db.query.text=INSERT_1`,
	},
	{
		//  1  |------------------|      0-2100
		//  2   |-------------| failed   10-2015: 2.005 s, and b is at work until 2500
		//  3    |---------------------|
		name: "a call given up",
		spans: `
			a 1 - server 0 2100 error
			a 2 1 client 10 2015 error
			b 3 2 server 11 2500`,
		want: "timeout 2: 2 (1), 2005ms, 0.95",
	},
	{
		// 2 % above 2 s is 2040, and a millisecond.
		name: "a call that failed by itself",
		spans: `
			a 1 - server 0 2100 error
			a 2 1 client 10 2052 error
			b 3 2 server 11 2050 error`,
	},
	{
		// 250 ms alone say nothing; its error does.
		name: "short time limits",
		spans: `
			a 1 - server 0 510 error
			a 2 1 client 0 250 name=x error
			a 3 1 client 250 500 name=y error=context_deadline_exceeded`,
		want: "timeout 3: 3 (1), 250ms, 0.95",
	},
	{
		// Two of 1 s.
		name: "a time limit by its look",
		spans: `
			a 1 - server 0 2100 error
			a 2 1 client 0 1000 name=x db.system.name=p db.query.text=SELECT_1 error
			a 3 1 client 1010 2012 name=x db.system.name=p db.query.text=SELECT_2 error`,
		want: "timeout 2: 2 3 (2), 2002ms, 0.60",
	},
	{
		//  1   |--------------------|   0-300
		//  10   |-|                     1-11 … 1-29, and the last 1-295: 284 more than the one before ends, all on the path
		name: "twenty calls at once, and a straggler",
		spans: "a 1 - server 0 300\n" + strings.Join(func() (lines []string) {
			for i := range 20 {
				lines = append(lines, fmt.Sprintf("a %x 1 client 1 %d name=shard", 16+i, 11+i+i/19*265))
			}
			return lines
		}(), "\n"),
		want: "fan_out 1: 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21 22 23 (20), 294ms, 0.90",
	},
	{
		//  1  |------------------|      0-100
		//  2   |-|                      5-15
		//  3                  |--|      55-95, before it 40 of which nothing tells
		name: "a gap",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 5 15
			a 3 1 internal 55 95`,
		want: "gap 1: 1 (1), 40ms, 0.50",
	},
	{
		//  1  |------------------|      0-100
		//  2   |----------------|       5-95 client: 30 and 30 are the network's
		//  3        |-----|             35-65
		name: "the network is no gap",
		spans: `
			a 1 - server 0 100
			a 2 1 client 5 95
			b 3 2 server 35 65`,
	},
	{
		// b's clock is 1000 ahead: 1010-1090 in 0-100 is moved by 1010 - 10, and its other span by as much.
		name: "a clock that is ahead",
		spans: `
			a 1 - server 0 210
			a 2 1 client 0 100
			b 3 2 server 1010 1090
			a 4 1 client 101 201
			b 5 4 server 1111 1191`,
		want: "serial_calls 1: 2 4 (2), 100ms, 0.30; skewed_host 3: 3 5 (2), 0ms, 0.95",
	},
	{
		name:  "one span",
		spans: `a 1 - server 0 100`,
	},
}

func TestGoldenFindings(t *testing.T) {
	for _, tt := range goldenFindings {
		t.Run(tt.name, func(t *testing.T) {
			release := milliseconds(treetest.Release(t, tt.spans))
			require.Equal(t, tt.want, findingsOf(release))
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				r.Shuffle(len(release.Spans), func(i, j int) {
					release.Spans[i], release.Spans[j] = release.Spans[j], release.Spans[i]
				})
				require.Equal(t, tt.want, findingsOf(release), "in another order")
			}
		})
	}
}

// b's span is moved by 100 ns: that is the network, not a clock.
func TestSmallShiftIsNoSkewedHost(t *testing.T) {
	require.Empty(t, findingsOf(treetest.Release(t, `
		a 1 - client 0 100
		b 2 1 server 110 190`)))
}

func TestNothingToFind(t *testing.T) {
	require.Empty(t, analysis.FindPatterns(analysis.Analyze(&tracetree.Release{})))
}

// A finding says it in a sentence.
func TestFindingMessages(t *testing.T) {
	for _, tt := range []struct{ spans, want string }{
		{
			steps(10, statement),
			`a "GET /list" calls postgresql:shop "SELECT" 10 times, one after the other. ` +
				`One call for all of them would save up to 45ms of 100ms.`,
		},
		{
			`a 1 - server 0 2000 name=GET_/
			 a 2 1 client 0 500 name=GET error
			 b 3 2 server 0 500 name=Reserve error
			 a 4 1 client 1500 2000 name=GET
			 b 5 4 server 1500 2000 name=Reserve`,
			`a "GET /" tried b "Reserve" 2 times: 1 try failed, before it worked. ` +
				`Failed tries and the pauses after them took 1.5s of 2s.`,
		},
		{
			`a 1 - server 0 100 name=GET_/
			 a 2 1 client 0 50
			 b 3 2 server 0 50 name=user
			 a 4 1 client 50 100
			 c 5 4 server 50 100 name=cart`,
			`a "GET /" makes 2 calls one after the other, from b "user" to c "cart". ` +
				`If none needs another's answer, side by side they would save 50ms of 100ms.`,
		},
		{
			`a 1 - server 0 60
			 a 2 1 client 0 50 service.peer.name=b`,
			`a called b 1 time and nothing shows what happened there, for 50ms of 60ms. ` +
				`b sends no spans in this trace: it is not instrumented, or does not sample.`,
		},
		{
			`a 1 - server 0 20
			 a 2 1 client 0 5 name=SELECT db.system.name=x db.query.text=SELECT_1
			 a 3 1 client 6 11 name=SELECT db.system.name=x db.query.text=SELECT_1
			 a 4 1 client 12 17 name=SELECT db.system.name=x db.query.text=SELECT_1`,
			`a sent the same query to x "SELECT" 3 times, to the letter. To keep the first answer would save up to 10ms of 20ms.`,
		},
		{
			`a 1 - server 0 2100
			 a 2 1 client 10 2015 name=pay error
			 b 3 2 server 11 2500 name=pay`,
			`a gave up on b "pay" after 2.01s, 1 time: that looks like a time limit of 2s. The request waited 2.01s of 2.1s for it. ` +
				`What it called was still at work then.`,
		},
		{
			`a 1 - server   0 100 name=order
			 a 2 1 internal 5 15
			 a 3 1 internal 55 95`,
			`a "order" holds up the request for 40ms of 100ms, from 15ms to 55ms after the trace's start, and no span shows at what.`,
		},
		{
			`a 1 - server 0 110
			 a 2 1 client 0 100
			 b 3 2 server 1010 1090`,
			`The clock of b (b) is about 1s ahead of its callers': 1 server span of 1 had to be moved. Durations are right; ` +
				`the order of events on different hosts is a guess until the clock is set.`,
		},
	} {
		findings := analysis.FindPatterns(analysis.Analyze(milliseconds(treetest.Release(t, tt.spans))))
		require.Len(t, findings, 1)
		require.Equal(t, tt.want, findings[0].Message)
	}
}

func weight(f analysis.Finding) float64 { return float64(f.CriticalPathTime) * f.Confidence }

// checkFindings checks what holds for the findings of every trace.
func checkFindings(t *testing.T, r *analysis.Result) {
	t.Helper()
	findings := analysis.FindPatterns(r)
	require.LessOrEqual(t, len(findings), analysis.MaxFindings)
	for at, f := range findings {
		require.Contains(t, analysis.FindingKinds, f.Kind)
		require.NotEmpty(t, f.Message)
		require.True(t, f.Confidence > 0 && f.Confidence <= 1, f.Confidence)
		require.True(t, 0 <= f.CriticalPathTime && f.CriticalPathTime <= r.RootDuration, "%s: %d", f.Kind, f.CriticalPathTime)
		require.Len(t, f.Spans, min(f.SpanCount, analysis.MaxFindingSpans))
		require.True(t, r.Tree.Nodes[f.At].InTree())
		for k, i := range f.Spans {
			require.True(t, r.Tree.Nodes[i].InTree())
			require.NotContains(t, f.Spans[:k], i)
			require.True(t, k == 0 || r.Tree.Nodes[f.Spans[k-1]].Start <= r.Tree.Nodes[i].Start)
		}
		require.True(t, at == 0 || weight(f) <= weight(findings[at-1]))
	}
}

// Traces with calls of all sorts below few parents: no order of the spans changes what is found, and every kind is found in some.
func TestHostileFindings(t *testing.T) {
	kinds := make(map[analysis.FindingKind]bool)
	for seed := range uint64(300) {
		src := rand.New(rand.NewPCG(seed, 3))
		release := tracetree.Releases(calls(src, 30+src.IntN(100)))[0]
		r := analysis.Analyze(&release)
		checkFindings(t, r)
		want := describeFindings(r)
		for _, f := range analysis.FindPatterns(r) {
			kinds[f.Kind] = true
		}
		src.Shuffle(len(release.Spans), func(i, j int) {
			release.Spans[i], release.Spans[j] = release.Spans[j], release.Spans[i]
		})
		require.Equal(t, want, describeFindings(analysis.Analyze(&release)), seed)
	}
	for _, kind := range analysis.FindingKinds {
		require.True(t, kinds[kind], kind)
	}
}

// calls makes a trace of n spans, times in milliseconds, with ids of their own.
func calls(src *rand.Rand, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	services := make([]ptrace.SpanSlice, 3)
	for i := range services {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("s%d", i))
		services[i] = rs.ScopeSpans().AppendEmpty().Spans()
	}
	kinds := []ptrace.SpanKind{
		ptrace.SpanKindClient, ptrace.SpanKindClient, ptrace.SpanKindClient, ptrace.SpanKindServer, ptrace.SpanKindInternal,
		ptrace.SpanKindProducer, ptrace.SpanKindConsumer,
	}
	at, crowd := 0, src.IntN(2) == 0 // one after the other, or all at once
	var root ptrace.Span
	for i := range n {
		span := services[src.IntN(len(services))].AppendEmpty()
		span.SetTraceID(treetest.TraceID)
		span.SetSpanID(treetest.ID(uint64(i + 1)))
		span.SetName(fmt.Sprintf("op%d", src.IntN(2)))
		start, duration := at, 1+src.IntN(30)
		if src.IntN(8) == 0 {
			duration = 1000 * (1 + src.IntN(3))
		}
		if !crowd && src.IntN(4) > 0 {
			at += duration
		}
		if i == 0 {
			span.SetKind(ptrace.SpanKindServer) // the root, which ends with the last
			at, root = 0, span
		} else {
			span.SetKind(kinds[src.IntN(len(kinds))])
			span.SetParentSpanID(treetest.ID(1))
			if src.IntN(4) == 0 {
				span.SetParentSpanID(treetest.ID(uint64(1 + src.IntN(i))))
			}
		}
		if src.IntN(20) == 0 {
			start += 50_000
		}
		span.SetStartTimestamp(pcommon.Timestamp(start) * 1e6)
		span.SetEndTimestamp(pcommon.Timestamp(start+duration) * 1e6)
		if src.IntN(5) == 0 {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		switch src.IntN(4) {
		case 0:
			span.Attributes().PutStr("server.address", fmt.Sprintf("s%d", src.IntN(5)))
		case 1:
			span.Attributes().PutStr("db.query.text", fmt.Sprintf("SELECT %d", src.IntN(3)))
		}
	}
	root.SetEndTimestamp(pcommon.Timestamp(at+50) * 1e6)
	return td
}

// describeFindings names spans by their identity.
func describeFindings(r *analysis.Result) (out []string) {
	for _, f := range analysis.FindPatterns(r) {
		at := &r.Tree.Nodes[f.At]
		text := fmt.Sprint(f.Kind, at.SpanID(), at.Kind(), f.SpanCount, f.CriticalPathTime, f.Confidence, f.Message)
		for _, i := range f.Spans {
			text += fmt.Sprint(" ", r.Tree.Nodes[i].SpanID(), r.Tree.Nodes[i].Kind())
		}
		out = append(out, text)
	}
	return out
}

// shopReleases are the traces of some visits to the simulated shop.
func shopReleases(t *testing.T, visits int, faults ...string) (releases []tracetree.Release) {
	t.Helper()
	options := traffic.Options{Seed: 3}
	for _, text := range faults {
		fault, err := traffic.ParseFault(text)
		require.NoError(t, err)
		options.Faults = append(options.Faults, fault)
	}
	s := traffic.New(options)
	for i := range visits {
		v := s.Visit(i)
		var request []byte
		s.Encode(v, 0, func(k int, scope wire.Scope, span *wire.Span) {
			batch := wire.NewBatch(s.Resource(s.Instance(&v.Spans[k])), traffic.SchemaURL)
			batch.Add(scope, span)
			payload := batch.Payload()
			payload.Move(wire.Mask{}, 1_700_000_000_000_000_000)
			request = append(request, payload.Bytes()...)
		})
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
		require.NoError(t, err)
		releases = append(releases, tracetree.Releases(td)...)
	}
	return releases
}

// found counts the shop's findings of a kind by the service at which they are.
func found(releases []tracetree.Release, kind analysis.FindingKind) map[string]int {
	services := make(map[string]int)
	for _, release := range releases {
		r := analysis.Analyze(&release)
		for _, f := range analysis.FindPatterns(r) {
			if f.Kind == kind {
				services[r.Spans[f.At].Service]++
			}
		}
	}
	return services
}

// The shop retries nothing and loses no context until a fault makes it, and then the services of the fault are named.
func TestShopFindings(t *testing.T) {
	const visits = 150
	healthy := shopReleases(t, visits)
	for _, kind := range []analysis.FindingKind{
		analysis.FindingRetries, analysis.FindingMissingInstrumentation, analysis.FindingNPlusOne, analysis.FindingRepeatedQuery,
		analysis.FindingTimeout, analysis.FindingFanOut, analysis.FindingSkewedHost,
	} {
		require.Empty(t, found(healthy, kind), kind)
	}
	require.Equal(t, []string{"checkout"}, keys(found(shopReleases(t, visits, "checkout:retries=90%"), analysis.FindingRetries)))

	// inventory drops the context: its callers have client spans without an answer, and name it.
	lost := 0
	for _, release := range shopReleases(t, visits, "inventory:context=100%") {
		for _, f := range analysis.FindPatterns(analysis.Analyze(&release)) {
			if f.Kind == analysis.FindingMissingInstrumentation {
				require.Contains(t, f.Message, " called inventory ")
				lost++
			}
		}
	}
	require.Positive(t, lost)
}

func keys(m map[string]int) []string {
	var out []string
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// large is a trace of 100,000 spans: a chain of callers, each with calls of all sorts.
func large() *tracetree.Release {
	td := ptrace.NewTraces()
	services := make([]ptrace.SpanSlice, 5)
	for i := range services {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("s%d", i))
		services[i] = rs.ScopeSpans().AppendEmpty().Spans()
	}
	const n, width = 100_000, 100
	for i := range n {
		at := i % width // the first of each hundred is the parent of the others, and of the next hundred's first
		span := services[i/width%len(services)].AppendEmpty()
		span.SetTraceID(treetest.TraceID)
		span.SetSpanID(treetest.ID(uint64(i + 1)))
		start := pcommon.Timestamp(i) * 1e6
		span.SetStartTimestamp(start)
		if at == 0 {
			span.SetKind(ptrace.SpanKindServer)
			if i > 0 {
				span.SetParentSpanID(treetest.ID(uint64(i - width + 1)))
			}
			span.SetEndTimestamp(3*n*1e6 - start)
			continue
		}
		span.SetKind(ptrace.SpanKindClient)
		span.SetName(fmt.Sprintf("call %d", at/20))
		span.SetParentSpanID(treetest.ID(uint64(i - at + 1)))
		span.SetEndTimestamp(start + 9e5)
		if at > 80 && at%2 == 0 {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		span.Attributes().PutStr("server.address", fmt.Sprintf("host%d", at%7))
		if at%3 == 0 {
			span.Attributes().PutStr("db.query.text", fmt.Sprintf("SELECT * FROM t WHERE id = %d AND name = 'x%d'", i%50, i%50))
		}
	}
	return &tracetree.Releases(td)[0]
}

func TestFindPatternsLarge(t *testing.T) {
	findings := findLarge(t, large())
	require.Len(t, findings, analysis.MaxFindings)
}

// findLarge finds in a tenth of a second or so, and fails where that takes a hundred times as long.
func findLarge(t *testing.T, release *tracetree.Release) []analysis.Finding {
	t.Helper()
	r := analysis.Analyze(release)
	start := time.Now()
	findings := analysis.FindPatterns(r)
	require.Less(t, time.Since(start), 10*time.Second)
	checkFindings(t, r)
	return findings
}

// Shapes that a quadratic or recursive search would not survive.
func TestFindPatternsHostileLarge(t *testing.T) {
	const n = 100_000
	for name, f := range map[string]func(i int, span ptrace.Span){
		"one call tried again and again": func(i int, span ptrace.Span) {
			span.SetParentSpanID(treetest.ID(1))
			span.SetStartTimestamp(pcommon.Timestamp(2*i) * 1e6)
			span.SetEndTimestamp(pcommon.Timestamp(2*i+1) * 1e6)
			span.Status().SetCode(ptrace.StatusCodeError)
		},
		"each call tried again": func(i int, span ptrace.Span) {
			span.SetName(strconv.Itoa(i / 2))
			span.SetParentSpanID(treetest.ID(1))
			span.SetStartTimestamp(pcommon.Timestamp(2*i) * 1e6)
			span.SetEndTimestamp(pcommon.Timestamp(2*i+1) * 1e6)
			span.Status().SetCode(ptrace.StatusCode(i % 2 * 2))
		},
		"all at once": func(i int, span ptrace.Span) {
			span.SetParentSpanID(treetest.ID(1))
			span.SetEndTimestamp(pcommon.Timestamp(i) * 1e6)
		},
		"a chain of wrappers": func(i int, span ptrace.Span) {
			span.SetParentSpanID(treetest.ID(uint64(i)))
			if i < n-1 {
				span.SetKind(ptrace.SpanKindInternal)
			}
			span.SetStartTimestamp(pcommon.Timestamp(i))
			span.SetEndTimestamp(pcommon.Timestamp(3*n - i))
		},
		"pairs with skewed clocks": func(i int, span ptrace.Span) {
			span.SetParentSpanID(treetest.ID(uint64(i)))
			if i%2 == 1 {
				span.SetKind(ptrace.SpanKindServer)
			}
			span.SetStartTimestamp(pcommon.Timestamp(i%2) * 1e9)
			span.SetEndTimestamp(pcommon.Timestamp(i%2)*1e9 + 1e6)
		},
	} {
		t.Run(name, func(t *testing.T) {
			td := ptrace.NewTraces()
			rs := td.ResourceSpans().AppendEmpty()
			for i := range 1_000 {
				rs.Resource().Attributes().PutStr(strconv.Itoa(i), "")
			}
			spans := rs.ScopeSpans().AppendEmpty().Spans()
			for i := range n {
				span := spans.AppendEmpty()
				span.SetSpanID(treetest.ID(uint64(i + 1)))
				span.SetKind(ptrace.SpanKindClient)
				if i == 0 {
					span.SetEndTimestamp(3 * n * 1e6)
					continue
				}
				f(i, span)
			}
			require.NotEmpty(t, findLarge(t, &tracetree.Releases(td)[0]))
		})
	}
}

func BenchmarkFindPatterns(b *testing.B) {
	r := analysis.Analyze(large())
	b.ReportAllocs()
	for b.Loop() {
		analysis.FindPatterns(r)
	}
}

func BenchmarkLeeways(b *testing.B) {
	r := analysis.Analyze(large())
	b.ReportAllocs()
	for b.Loop() {
		r.Leeways()
	}
}
