package hostile

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// spanKey is what tells stored spans apart.
type spanKey struct {
	id         pcommon.SpanID
	kind       ptrace.SpanKind
	start, end pcommon.Timestamp
}

const maxDepth = 10_000 // of trace_assembly

func tooDeep(attrs ...pcommon.Map) bool {
	for _, m := range attrs {
		for _, value := range m.All() {
			if conventions.ExtentOf(value).Depth > maxDepth {
				return true
			}
		}
	}
	return false
}

// expected are the traces of a request, with the spans that must come back: all but those without ids and those nested too
// deeply. Inputs of the fuzzer are smaller than every limit of size.
func expected(td ptrace.Traces) map[pcommon.TraceID]map[spanKey]struct{} {
	traces := make(map[pcommon.TraceID]map[spanKey]struct{})
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			if tooDeep(rs.Resource().Attributes(), ss.Scope().Attributes()) {
				continue
			}
			for _, s := range ss.Spans().All() {
				attrs := []pcommon.Map{s.Attributes()}
				for _, event := range s.Events().All() {
					attrs = append(attrs, event.Attributes())
				}
				for _, link := range s.Links().All() {
					attrs = append(attrs, link.Attributes())
				}
				if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() || tooDeep(attrs...) {
					continue
				}
				if traces[s.TraceID()] == nil {
					traces[s.TraceID()] = make(map[spanKey]struct{})
				}
				kind := s.Kind()
				if kind < 0 || kind > 5 {
					kind = 0 // what OTLP does not know counts as unspecified
				}
				traces[s.TraceID()][spanKey{s.SpanID(), kind, s.StartTimestamp(), s.EndTimestamp()}] = struct{}{}
			}
		}
	}
	return traces
}

// maxInput keeps every input below the limits of size, which have tests of their own.
const maxInput = 1 << 20

// FuzzOTLPToAnswer takes any bytes from the wire to the answers. Every input is a tenant of its own. What was accepted is
// found, each span once, and counted once; the answers are UTF-8 and JSON, add up, and OTLP's own reader reads them.
func FuzzOTLPToAnswer(f *testing.F) {
	cases := table()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		if body := c.body(f, 1); len(body) <= 64<<10 { // larger seeds make the fuzzer slow
			f.Add(body)
		}
	}
	started := startPipeline(f, func(c *traceassemblyprocessor.Config) {
		c.Linger, c.ReleaseBatch.MaxDelay = 0, 0
		c.Quiet.Min, c.Quiet.Max = time.Millisecond, time.Millisecond
	})
	var inputs atomic.Int64
	f.Fuzz(func(t *testing.T, body []byte) {
		p := started.in(t)
		if len(body) > maxInput {
			return
		}
		td, err := decode(body)
		if err != nil { // the receiver answers that the request is bad, or trace_assembly does, where it comes there as it is
			if raw, err := asItCame(body); err == nil {
				require.True(t, consumererror.IsPermanent(p.entry.ConsumeTraces(t.Context(), raw)), "of % x", body)
			}
			return
		}
		want := expected(td)
		td, err = asItCame(body)
		require.NoError(t, err)
		name := fmt.Sprintf("input-%d", inputs.Add(1))
		require.NoError(t, p.entry.ConsumeTraces(withTenant(t.Context(), name), td))
		p.settle()
		var found []string
		for _, row := range p.search(name, nil) {
			found = append(found, row.TraceID)
		}
		var ids []string
		counted := int64(0) // spans that aggregates count
		for id, spans := range want {
			ids = append(ids, id.String())
			answer := p.checkTrace(t, id, name)
			require.Equal(t, len(spans), answer.SpanCount)
			for i := range answer.Spans {
				if !slices.Contains(answer.Spans[i].Violations, conventions.ViolationConflictingSpanID) {
					counted++
				}
			}
		}
		require.ElementsMatch(t, ids, found)
		for _, row := range p.operations(name) {
			counted -= row.Calls
		}
		require.Zero(t, counted, "operations count every span once that does not conflict")
	})
}
