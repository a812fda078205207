package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// annotationPrefix is that of the attributes that trace_analysis writes.
const annotationPrefix = "tracewright."

// measureAllocations counts what trace_analysis allocates, and what pdata alone allocates for writing the same attributes.
func measureAllocations(ctx context.Context, c *calls, p consumer.Traces) (measure, error) {
	m := measure{
		name: "allocations of trace_analysis besides pdata's own for the attributes written", target: analysisAllocationsTarget, digits: 2,
		unit: "a span",
	}
	var ours, roomy, grown uint64
	written := 0
	for i := range c.encoded {
		before, err := c.next(i)
		if err != nil {
			return m, err
		}
		td, err := c.next(i)
		if err != nil {
			return m, err
		}
		n, err := allocated(func() error { return p.ConsumeTraces(ctx, td) })
		if err != nil {
			return m, err
		}
		ours += n
		notes := annotationsBeyond(before, td)
		for j := range notes {
			written += notes[j].Len()
		}
		n, err = allocated(func() error { write(before, notes); return nil })
		if err != nil {
			return m, err
		}
		grown += n
		if before, err = c.next(i); err != nil {
			return m, err
		}
		at := 0
		for span := range spansOf(before) {
			span.Attributes().EnsureCapacity(span.Attributes().Len() + notes[at].Len())
			at++
		}
		n, err = allocated(func() error { write(before, notes); return nil })
		if err != nil {
			return m, err
		}
		roomy += n
	}
	spans := c.spansOf(len(c.encoded))
	fmt.Println()
	printTable(os.Stdout, [][]string{
		{"allocations", "a span"},
		{"attributes written", count(uint64(written), spans)},
		{"pdata's for these, with room for them", count(roomy, spans)},
		{"pdata's for these, with the room it makes itself", count(grown, spans)},
		{"trace_analysis", count(ours, spans)},
	})
	m.figure = (float64(ours) - float64(roomy)) / float64(spans)
	m.note = "besides pdata's own where there is room for the attributes: to make room counts"
	return m, nil
}

// allocated counts what a function allocates.
func allocated(do func() error) (uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := do()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, err
}

// spansOf are the spans of a call in their order.
func spansOf(td ptrace.Traces) func(yield func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(span) {
						return
					}
				}
			}
		}
	}
}

// annotationsBeyond are the attributes of each span of td that trace_analysis added to those of before.
func annotationsBeyond(before, td ptrace.Traces) []pcommon.Map {
	var stood []pcommon.Map
	for span := range spansOf(before) {
		stood = append(stood, span.Attributes())
	}
	added := make([]pcommon.Map, 0, len(stood))
	for span := range spansOf(td) {
		notes := pcommon.NewMap()
		for key, value := range span.Attributes().All() {
			if _, ok := stood[len(added)].Get(key); !ok && strings.HasPrefix(key, annotationPrefix) {
				value.CopyTo(notes.PutEmpty(key))
			}
		}
		added = append(added, notes)
	}
	return added
}

// write writes notes on the spans of a call, by the same functions of pdata as trace_analysis.
func write(td ptrace.Traces, notes []pcommon.Map) {
	at := 0
	for span := range spansOf(td) {
		attrs := span.Attributes()
		for key, value := range notes[at].All() {
			switch value.Type() {
			case pcommon.ValueTypeStr:
				attrs.PutStr(key, value.Str())
			case pcommon.ValueTypeInt:
				attrs.PutInt(key, value.Int())
			case pcommon.ValueTypeDouble:
				attrs.PutDouble(key, value.Double())
			case pcommon.ValueTypeBool:
				attrs.PutBool(key, value.Bool())
			case pcommon.ValueTypeSlice:
				list := attrs.PutEmptySlice(key)
				list.EnsureCapacity(value.Slice().Len())
				for _, v := range value.Slice().All() {
					list.AppendEmpty().SetStr(v.Str())
				}
			}
		}
		at++
	}
}
