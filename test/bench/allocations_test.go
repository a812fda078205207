package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What pdata is made to write in comparison is what was written.
func TestWriteAnnotationsAgain(t *testing.T) {
	call := func() ptrace.Traces {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		for range 2 {
			attrs := spans.AppendEmpty().Attributes()
			attrs.PutStr("http.route", "/")
			attrs.PutInt("tracewright.assembly.version", 1)
		}
		return td
	}
	attrs := func(td ptrace.Traces, span int) pcommon.Map {
		return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(span).Attributes()
	}
	annotated, again := call(), call()
	attrs(annotated, 0).PutStr("tracewright.category", "internal")
	attrs(annotated, 1).PutInt("tracewright.self_time", 7)
	attrs(annotated, 1).PutBool("tracewright.orphan", true)
	attrs(annotated, 1).PutDouble("tracewright.bottleneck", 0.5)
	attrs(annotated, 1).PutEmptySlice("tracewright.services").AppendEmpty().SetStr("shop")

	notes := annotationsBeyond(again, annotated)
	require.Equal(t, []int{1, 4}, []int{notes[0].Len(), notes[1].Len()})
	write(again, notes)
	require.Equal(t, attrs(annotated, 0).AsRaw(), attrs(again, 0).AsRaw())
	require.Equal(t, attrs(annotated, 1).AsRaw(), attrs(again, 1).AsRaw())
}

// Calls are the same in every run, full, and of whole traces.
func TestAssembledCalls(t *testing.T) {
	c, err := assembledCalls(t.Context(), 1, 1000, callSpans)
	require.NoError(t, err)
	require.Len(t, c.encoded, 2)
	require.Greater(t, c.traces, 700)
	td, err := c.next(3)
	require.NoError(t, err)
	require.Equal(t, c.spans[1], td.SpanCount())
	_, err = assembledCalls(t.Context(), 1, 10, callSpans)
	require.ErrorContains(t, err, "too few")
}
