package traceassemblyprocessor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// pipelineSink gives back what it was handed as the collector does before every component.
type pipelineSink struct{ *sink }

func (s pipelineSink) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if pref.MarkPipelineOwnedTraces(td) {
		defer pref.UnrefTraces(td)
	}
	return s.sink.ConsumeTraces(ctx, td)
}

// TestPooling has pdata recycle everything that nobody refers to: what is held and what is repeated must survive.
func TestPooling(t *testing.T) {
	require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), true))
	t.Cleanup(func() { require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), false)) })
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		names := make(map[string]int)
		f.sink.fail = func(attempt int, td ptrace.Traces) error {
			if attempt < 3 {
				return errors.New("busy")
			}
			for _, rs := range td.ResourceSpans().All() {
				for _, span := range rs.ScopeSpans().At(0).Spans().All() {
					service, _ := rs.Resource().Attributes().Get("service.name")
					names[service.Str()+" "+span.Name()]++
				}
			}
			return nil
		}
		f.handOn.next = pipelineSink{f.sink}
		for trace := range uint64(50) {
			td := request(testSpan{trace: 1 + trace, id: 1, service: "a", name: "root"}, testSpan{trace: 1 + trace, id: 2, parent: 1, service: "b", name: "leaf"})
			require.True(t, pref.MarkPipelineOwnedTraces(td))
			require.NoError(t, f.ConsumeTraces(t.Context(), td))
			pref.UnrefTraces(td) // as the receiver does when its call returns
		}
		f.wait(time.Minute)
		require.Equal(t, map[string]int{"a root": 50, "b leaf": 50}, names)
		f.stop()
	})
}
