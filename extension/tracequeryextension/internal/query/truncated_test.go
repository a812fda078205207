package query

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A trace whose releases never end is read until it is too large, and says so. A release of any size is read whole.
func TestTraceTooLargeToRead(t *testing.T) {
	padding := strings.Repeat("x", defaultTraceBytes/2-1000) // two are just below the limit
	for name, test := range map[string]struct {
		releases, want int
		truncated      bool
	}{
		"one":            {1, 1, false},
		"just too large": {3, 3, false},
		"too large":      {4, 3, true},
		"much too large": {1000, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := service(storage{trace: func(context.Context) ([]ptrace.Traces, error) {
				var releases []ptrace.Traces
				for i := range test.releases {
					td := oneSpan(pcommon.TraceID{1}, byte(1+i%200))
					td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("padding", padding)
					releases = append(releases, td)
				}
				return releases, nil
			}})
			trace, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
			require.NoError(t, err)
			require.Equal(t, test.want, trace.Spans.SpanCount())
			require.Equal(t, test.truncated, trace.Truncated)
		})
	}
}

// tracesByID has some traces.
type tracesByID struct {
	storage
	releases func(id pcommon.TraceID) []ptrace.Traces
}

func (s tracesByID) Trace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return storage{trace: func(context.Context) ([]ptrace.Traces, error) { return s.releases(id), nil }}.Trace(ctx, tenant, id)
}

// A trace that is too large leaves the one that it is compared with whole.
func TestCompareWithATraceTooLargeToRead(t *testing.T) {
	large, small := pcommon.TraceID{1}, pcommon.TraceID{2}
	stored := func(id pcommon.TraceID, spans byte, padding string) (releases []ptrace.Traces) {
		for i := range spans {
			td := oneSpan(id, 1+i)
			td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("padding", padding)
			releases = append(releases, td)
		}
		return releases
	}
	s := service(tracesByID{releases: func(id pcommon.TraceID) []ptrace.Traces {
		if id == large {
			return stored(id, 3, strings.Repeat("x", 1000))
		}
		return stored(id, 2, "")
	}})
	s.Memory.PerRequest, s.Memory.Total = 1000, 10_000
	for _, pair := range [][2]pcommon.TraceID{{large, small}, {small, large}} {
		ctx, end := s.Memory.Begin(t.Context())
		compared, err := s.Compare(ctx, "", pair[0], pair[1], 1)
		require.NoError(t, err)
		require.EqualValues(t, compared.Trace.size+compared.With.size, s.Memory.held.Load())
		for _, trace := range []*Trace{compared.Trace, compared.With} {
			require.Equal(t, trace.ID == large, trace.Truncated)
			require.Equal(t, map[bool]int{true: 1, false: 2}[trace.Truncated], trace.Spans.SpanCount())
		}
		end()
	}
}
