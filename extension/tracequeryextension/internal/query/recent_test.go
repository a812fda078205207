package query

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// deleter deletes whatever it is asked to.
type deleter struct{}

func (deleter) Delete(context.Context, string, pcommon.TraceID) error { return nil }

// manySpans is a trace of n spans.
func manySpans(id pcommon.TraceID, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetTraceID(id)
		span.SetSpanID(pcommon.SpanID{1, 6: byte(i >> 8), 7: byte(i)})
	}
	return td
}

// remembered is how many traces a service remembers.
func remembered(s *Service) int {
	s.recent.mu.Lock()
	defer s.recent.mu.Unlock()
	return len(s.recent.traces)
}

// counted is a service that counts how often it reads its storage, whose traces have so many spans.
func counted(spans *int, meanwhile func()) (s *Service, reads *int) {
	reads = new(int)
	id := pcommon.TraceID{1}
	return service(storage{Deleter: deleter{}, trace: func(context.Context) ([]ptrace.Traces, error) {
		*reads++
		if meanwhile != nil {
			meanwhile()
		}
		return []ptrace.Traces{manySpans(id, *spans)}, nil
	}}), reads
}

func TestLargeTracesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, spans := pcommon.TraceID{1}, recentSpans
		s, reads := counted(&spans, nil)
		view := func(tenant string) *Trace {
			t.Helper()
			trace, err := s.TraceForView(t.Context(), tenant, id)
			require.NoError(t, err)
			return trace
		}
		first := view("")
		require.Same(t, first, view(""))
		require.Equal(t, 1, *reads)
		view("other")
		require.Equal(t, 2, *reads, "another tenant's is another trace")

		whole, err := s.Trace(t.Context(), "", id)
		require.NoError(t, err)
		require.NotSame(t, first, whole, "whole traces are read anew, and may be changed")
		require.Equal(t, 3, *reads)

		time.Sleep(recentTime + time.Second)
		require.NotSame(t, first, view(""))
		require.Equal(t, 4, *reads)
		require.NoError(t, s.Delete(t.Context(), "", id))
		view("")
		require.Equal(t, 5, *reads, "what was deleted is forgotten")

		for _, tenant := range []string{"a", "b", "c"} {
			view(tenant)
		}
		require.Equal(t, 4, remembered(s))
		view("")
		require.Equal(t, 8, *reads)
		s.recent.mu.Lock()
		s.recent.size += recentBytes - 4*first.size // as if they were larger
		s.recent.mu.Unlock()
		view("d")
		require.Equal(t, 4, remembered(s))
		view("")
		require.Equal(t, 10, *reads, "the earliest gave way")
		time.Sleep(recentTime + time.Second)
		synctest.Wait()
		require.Zero(t, remembered(s))

		spans = recentSpans - 1
		view("")
		view("")
		require.Equal(t, 12, *reads, "small traces are read anew")
		require.Zero(t, remembered(s))
	})
}

// A trace that is deleted while it is read is not remembered, nor is one that is too large.
func TestWhatIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Service
		id, spans := pcommon.TraceID{1}, recentSpans
		s, reads := counted(&spans, func() { _ = s.Delete(context.Background(), "", pcommon.TraceID{1}) })
		for range 2 {
			_, err := s.TraceForView(t.Context(), "", id)
			require.NoError(t, err)
		}
		require.Equal(t, 2, *reads)

		trace, err := s.Trace(t.Context(), "", id)
		require.NoError(t, err)
		_, deletions := s.recent.get("", id)
		trace.size = recentBytes + 1
		s.recent.put("", trace, deletions)
		require.Zero(t, remembered(s))
		trace.size = recentBytes
		s.recent.put("", trace, deletions)
		s.recent.put("", trace, deletions)
		require.Equal(t, 1, remembered(s))
		time.Sleep(recentTime + time.Second)
	})
}
