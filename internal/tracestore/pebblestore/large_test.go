package pebblestore

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// A trace that grows and grows is not made afresh, under the writer's lock, from more than maxRecomputedBytes: its row then
// counts a span that stands in two releases twice.
func TestRowOfATraceOfManyBytes(t *testing.T) {
	for name, test := range map[string]struct{ padding, want int }{
		"within the limit": {maxRecomputedBytes/2 - 10_000, 1},
		"above the limit":  {maxRecomputedBytes/2 + 10_000, 2},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, Options{Path: t.TempDir(), Now: atNoon, MaxSearchTime: time.Minute}) // on a busy machine too
			for version := range int64(2) {
				td := ptrace.NewTraces()
				rs := td.ResourceSpans().AppendEmpty()
				rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, noon.UnixNano())
				span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
				span.SetTraceID(traceID(1))
				span.SetSpanID(pcommon.SpanID{1})
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(noon))
				span.SetEndTimestamp(pcommon.NewTimestampFromTime(noon.Add(time.Second)))
				span.Attributes().PutStr("padding", strings.Repeat("x", test.padding))
				span.Attributes().PutInt(conventions.AttrVersion, 1+version)
				require.NoError(t, store.WriteCall(t.Context(), td))
			}
			page, err := store.Search(t.Context(), "", &tracestore.SearchQuery{Start: noon.Add(-time.Hour), End: noon.Add(time.Hour), Limit: 10})
			require.NoError(t, err)
			require.Len(t, page.Traces, 1)
			require.Equal(t, 2, page.Traces[0].Version)
			require.Equal(t, test.want, page.Traces[0].SpanCount)
			require.Zero(t, store.Stats().CorruptValues)
		})
	}
}
