package block

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// benchCalls are some calls of 400 traces, with their releases and headers.
func benchCalls(b *testing.B, calls int) (all [][]tracetree.Release, headers [][]Header) {
	s := shop.New(shop.Options{Seed: 11})
	for n := range calls {
		releases := tracetree.Releases(newCall(b, s, 400*n, 400))
		list := make([]Header, len(releases))
		for i := range releases {
			list[i] = headerOf(&releases[i])
		}
		all, headers = append(all, releases), append(headers, list)
	}
	return all, headers
}

// cpu is what this process has used, in seconds: on a busy machine the time on the clock says little.
func cpu() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func BenchmarkEncode(b *testing.B) {
	calls, headers := benchCalls(b, 8)
	encoder := NewEncoder()
	var head, body []byte
	spans, heads, bodies, n := 0, 0, 0, 0
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		at := n % len(calls)
		n++
		for i := range calls[at] {
			require.NoError(b, encoder.Add(&calls[at][i], headers[at][i]))
		}
		spans += encoder.Spans()
		head, body = encoder.Encode(head[:0], body[:0])
		heads, bodies = heads+len(head), bodies+len(body)
	}
	b.ReportMetric((cpu()-before)*1e6/float64(spans), "cpu-s/Mspan")
	b.ReportMetric(float64(heads)/float64(spans), "head-B/span")
	b.ReportMetric(float64(bodies)/float64(spans), "body-B/span")
	b.ReportMetric(float64(heads+bodies)/float64(spans), "B/span")
}

// BenchmarkEncodeFresh encodes calls that were decoded and annotated a moment ago, as in a service: their values come for the first time, and
// what is read of them is in no cache. Collecting garbage is not in the figure.
func BenchmarkEncodeFresh(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	s := shop.New(shop.Options{Seed: 11})
	encoder := NewEncoder()
	var head, body []byte
	spans, size, used := 0, 0, 0.
	for n := 0; b.Loop(); n++ {
		releases := tracetree.Releases(newCall(b, s, 400*n, 400))
		headers := make([]Header, len(releases))
		for i := range releases {
			headers[i] = headerOf(&releases[i])
		}
		if n%8 == 0 {
			runtime.GC()
		}
		before := cpu()
		for i := range releases {
			if err := encoder.Add(&releases[i], headers[i]); err != nil {
				b.Fatal(err)
			}
		}
		added := encoder.Spans()
		head, body = encoder.Encode(head[:0], body[:0])
		if n >= 4 { // it knows the operations by now
			used += cpu() - before
			spans, size = spans+added, size+len(head)+len(body)
		}
	}
	b.ReportMetric(used*1e6/float64(spans), "cpu-s/Mspan")
	b.ReportMetric(float64(size)/float64(spans), "B/span")
}

// BenchmarkEncodeWarm encodes a few releases again and again, which are in the processor's caches: what is left are instructions.
func BenchmarkEncodeWarm(b *testing.B) {
	releases := tracetree.Releases(newCall(b, shop.New(shop.Options{Seed: 11}), 0, 12))
	headers := make([]Header, len(releases))
	for i := range releases {
		headers[i] = headerOf(&releases[i])
	}
	encoder := NewEncoder()
	spans, before := 0, cpu()
	for b.Loop() {
		for range 33 {
			for i := range releases {
				if err := encoder.Add(&releases[i], headers[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		spans += encoder.Spans()
		encoder.Encode(nil, nil)
	}
	b.ReportMetric((cpu()-before)*1e6/float64(spans), "cpu-s/Mspan")
}

// TestBytesPerSpan: a block of annotated traces of the shop, of an encoder that has seen some, takes at most 33 bytes a span.
func TestBytesPerSpan(t *testing.T) {
	s := shop.New(shop.Options{Seed: 11})
	encoder := NewEncoder()
	for n := range 2 {
		for _, release := range tracetree.Releases(newCall(t, s, 400*n, 400)) {
			require.NoError(t, encoder.Add(&release, headerOf(&release)))
		}
		spans := encoder.Spans()
		head, body := encoder.Encode(nil, nil)
		size := float64(len(head)+len(body)) / float64(spans)
		t.Logf("block %d: %.2f bytes a span, %.2f of them in the head", n, size, float64(len(head))/float64(spans))
		if n > 0 {
			require.Less(t, size, 33.)
		}
	}
}

func benchBlock(b *testing.B) (head, body []byte, releases []tracetree.Release) {
	calls, headers := benchCalls(b, 2)
	encoder := NewEncoder()
	for at := range calls {
		for i := range calls[at] {
			require.NoError(b, encoder.Add(&calls[at][i], headers[at][i]))
		}
		head, body = encoder.Encode(nil, nil)
	}
	return head, body, calls[len(calls)-1]
}

// mergedBlock is a block as a quiet system merges them: twice as large, and rehearsed.
func mergedBlock(b *testing.B) (body []byte, releases []tracetree.Release) {
	calls, headers := benchCalls(b, 2)
	encoder := NewThoroughEncoder()
	for pass := range 2 {
		for at := range calls {
			for i := range calls[at] {
				require.NoError(b, encoder.Add(&calls[at][i], headers[at][i]))
			}
		}
		if pass == 0 {
			encoder.Rehearsed()
		}
	}
	_, body = encoder.Encode(nil, nil)
	return body, append(calls[0], calls[1]...)
}

// BenchmarkTrace opens a block and reads one trace of it.
func BenchmarkTrace(b *testing.B) {
	_, written, few := benchBlock(b)
	merged, many := mergedBlock(b)
	for _, of := range []struct {
		name     string
		body     []byte
		releases []tracetree.Release
	}{{"written", written, few}, {"merged", merged, many}} {
		b.Run(of.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				block, err := OpenBody(of.body)
				require.NoError(b, err)
				i := rng.IntN(len(of.releases))
				_, err = block.Traces(i, of.releases[i].TraceID)
				require.NoError(b, err)
				block.Close()
			}
			b.ReportMetric((cpu()-before)*1e3/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkAllTraces reads a whole block.
func BenchmarkAllTraces(b *testing.B) {
	_, body, releases := benchBlock(b)
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		block, err := OpenBody(body)
		require.NoError(b, err)
		for i := range releases {
			_, err = block.Traces(i, releases[i].TraceID)
			require.NoError(b, err)
		}
		block.Close()
	}
	b.ReportMetric((cpu()-before)*1e3/float64(b.N), "cpu-ms/op")
}

func BenchmarkHead(b *testing.B) {
	head, _, releases := benchBlock(b)
	b.Run("headers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h, err := OpenHead(head)
			require.NoError(b, err)
			headers, err := h.Headers()
			require.NoError(b, err)
			require.Len(b, headers, len(releases))
		}
	})
	b.Run("each header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h, err := OpenHead(head)
			require.NoError(b, err)
			n := 0
			require.NoError(b, h.EachHeader(func(int, *Header) { n++ }))
			require.Equal(b, len(releases), n)
		}
	})
	b.Run("filter", func(b *testing.B) {
		b.ReportAllocs()
		query := &tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: "user.id", Op: tracestore.OpEqual, Text: "nobody"}}}
		for b.Loop() {
			h, err := OpenHead(head)
			require.NoError(b, err)
			h.MayMatch(query)
		}
	})
}

// BenchmarkJudge opens a block and asks it for spans.
func BenchmarkJudge(b *testing.B) {
	_, body, releases := benchBlock(b)
	span := releases[3].Spans[0]
	for i := range releases[3].Spans {
		if _, ok := releases[3].Spans[i].Attributes().Get("session.id"); ok {
			span = releases[3].Spans[i]
		}
	}
	session, _ := span.Attributes().Get("session.id")
	one := tracestore.AttributeCondition{Key: "session.id", Op: tracestore.OpEqual, Text: session.Str()}
	nobody := tracestore.AttributeCondition{Key: "session.id", Op: tracestore.OpEqual, Text: "nobody"}
	for name, c := range map[string]tracestore.SpanConditions{
		"service and duration": {Service: span.Service(), Operation: span.Name(), MinDuration: time.Millisecond},
		"one session":          {Attributes: []tracestore.AttributeCondition{one}},
		"nobody":               {Attributes: []tracestore.AttributeCondition{nobody}},
	} {
		b.Run(name, func(b *testing.B) {
			before, found := cpu(), 0
			for b.Loop() {
				block, err := OpenBody(body)
				require.NoError(b, err)
				verdicts := judged(b, block, &c)
				require.NoError(b, block.Settle(verdicts, &c))
				found = 0
				for _, v := range verdicts {
					if v != tracestore.No {
						found++
					}
				}
				block.Close()
			}
			b.ReportMetric((cpu()-before)*1e3/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(found), "found")
		})
	}
}

// BenchmarkMarshal is what a write costs at least with pdata's own marshalling.
func BenchmarkMarshal(b *testing.B) {
	call := newCall(b, shop.New(shop.Options{Seed: 11}), 0, 400)
	before := cpu()
	for b.Loop() {
		_, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(call)
		require.NoError(b, err)
	}
	b.ReportMetric((cpu()-before)*1e6/float64(b.N*call.SpanCount()), "cpu-s/Mspan")
}

// BenchmarkBackwards reads some traces of a block, the last first, as searches do.
func BenchmarkBackwards(b *testing.B) {
	_, body, releases := benchBlock(b)
	before := cpu()
	for b.Loop() {
		block, err := OpenBody(body)
		require.NoError(b, err)
		for i := len(releases) - 1; i >= 0; i -= 10 {
			_, err = block.Traces(i, releases[i].TraceID)
			require.NoError(b, err)
		}
		block.Close()
	}
	b.ReportMetric((cpu()-before)*1e3/float64(b.N), "cpu-ms/op")
}
