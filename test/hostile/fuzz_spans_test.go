package hostile

import (
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// choices makes decisions of the fuzzer's bytes; where they end it decides for 0.
type choices struct{ left []byte }

func (c *choices) of(n int) int {
	if len(c.left) == 0 {
		return 0
	}
	b := c.left[0]
	c.left = c.left[1:]
	return int(b) % n
}

// oddTimes are what a start or an end is made of: the usual, and the edges.
var oddTimes = []pcommon.Timestamp{
	at(0), at(1), at(5), at(10), at(50), at(100), at(-1000), 0, 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64,
}

// span makes one of few identities, so that they meet.
func (c *choices) span(to ptrace.SpanSlice) {
	s := to.AppendEmpty()
	s.SetTraceID(traceID(uint64(1 + c.of(3))))
	s.SetSpanID(spanID(uint64(c.of(9)))) // 0 is none
	s.SetParentSpanID(spanID(uint64(c.of(10))))
	s.SetKind(ptrace.SpanKind(c.of(7)))
	s.SetName([]string{"work", "", "caf\xe9", "other"}[c.of(4)])
	s.SetStartTimestamp(oddTimes[c.of(len(oddTimes))])
	s.SetEndTimestamp(oddTimes[c.of(len(oddTimes))])
	s.Status().SetCode(ptrace.StatusCode(c.of(4)))
	switch c.of(12) {
	case 0:
		s.Attributes().PutStr("server.address", "db\xff")
	case 1:
		nest(s.Attributes().PutEmpty("k"), 70)
	case 2:
		s.Attributes().PutInt("tracewright.span_count", 7)
		s.Attributes().PutStr("tracewright.entry.service", "forged")
	case 3:
		event := s.Events().AppendEmpty()
		event.SetName("exception")
		event.SetTimestamp(oddTimes[c.of(len(oddTimes))])
		event.Attributes().PutDouble("exception.message", math.NaN())
	case 4:
		s.Links().AppendEmpty()
	case 5:
		s.TraceState().FromRaw("a=1,a=2,\xff")
		s.SetFlags(math.MaxUint32)
	}
}

func (c *choices) request() ptrace.Traces {
	td := ptrace.NewTraces()
	for range 1 + c.of(3) {
		rs := td.ResourceSpans().AppendEmpty()
		if service := []string{"", "a", "b", "c\xff"}[c.of(4)]; service != "" {
			rs.Resource().Attributes().PutStr("service.name", service)
		}
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for range c.of(8) {
			c.span(spans)
		}
	}
	return td
}

// FuzzSpansToAnswer sends spans of a few traces, in several requests, some of them late, some in parts: what the bytes of
// FuzzOTLPToAnswer rarely make. In the end every span is there once.
func FuzzSpansToAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a trace of some spans, in more than one request, for the fuzzer to begin with"))
	for n := range byte(16) {
		seed := make([]byte, 300)
		for i := range seed {
			seed[i] = byte(i)*31 + n*17
		}
		f.Add(seed)
	}
	started := startPipeline(f, func(c *traceassemblyprocessor.Config) {
		c.Linger, c.ReleaseBatch.MaxDelay = 0, 0
		c.Quiet.Min, c.Quiet.Max = time.Millisecond, time.Millisecond
		c.MaxTraceSpans = 12
	})
	var inputs atomic.Int64
	f.Fuzz(func(t *testing.T, bytes []byte) {
		p := started.in(t)
		name := fmt.Sprintf("input-%d", inputs.Add(1))
		c := &choices{left: bytes[:min(len(bytes), 2000)]}
		want := make(map[pcommon.TraceID]map[spanKey]struct{})
		for range 1 + c.of(5) {
			td, err := decode(encode(t, c.request()))
			require.NoError(t, err)
			for id, spans := range expected(td) {
				if want[id] == nil {
					want[id] = make(map[spanKey]struct{})
				}
				for key := range spans {
					want[id][key] = struct{}{}
				}
			}
			require.NoError(t, p.entry.ConsumeTraces(withTenant(t.Context(), name), td))
			if c.of(2) == 1 {
				p.settle() // what comes next is late
			}
		}
		p.settle()
		var found, ids []string
		rows := make(map[string]summary)
		for _, row := range p.search(name, nil) {
			found = append(found, row.TraceID)
			rows[row.TraceID] = row
		}
		for id, spans := range want {
			ids = append(ids, id.String())
			answer := p.checkTrace(t, id, name)
			require.Equal(t, len(spans), answer.SpanCount)
			require.Equal(t, answer.summary, rows[answer.TraceID], "the row says the same as the trace")
		}
		require.ElementsMatch(t, ids, found)
	})
}
