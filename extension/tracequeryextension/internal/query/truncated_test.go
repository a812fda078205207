package query

import (
	"context"
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
