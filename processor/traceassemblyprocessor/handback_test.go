package traceassemblyprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/handback"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// taker is a next consumer that gives some calls back, keeps some, takes spans out of some, and refuses some.
type taker struct {
	t     *testing.T
	calls int
	spans map[uint64]int
	kept  []keptCall
}

type keptCall struct {
	td   ptrace.Traces
	then string // what it was
}

func (*taker) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (k *taker) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	k.calls++
	if k.calls%7 == 0 {
		handback.Return(ctx, td)
		return errors.New("not now")
	}
	for _, release := range tracetree.Releases(td) {
		for _, span := range release.Spans {
			id := idOf(span)
			k.spans[id]++
			require.Equal(k.t, fmt.Sprint(id), attr(span, "id"))
			require.Equal(k.t, fmt.Sprint("work ", id), span.Name())
			require.Equal(k.t, fmt.Sprint(id*id), attr(span, "square"))
			_, written := span.Attributes().Get(conventions.AttrSelfTime)
			require.False(k.t, written, "what was written on another call")
			span.Attributes().PutInt(conventions.AttrSelfTime, int64(id)) // as trace_analysis does
		}
	}
	switch k.calls % 5 {
	case 0:
		k.keep(td)
	case 1:
		stolen := ptrace.NewTraces()
		td.ResourceSpans().At(0).MoveTo(stolen.ResourceSpans().AppendEmpty())
		k.keep(stolen)
		handback.Return(ctx, td)
	default:
		handback.Return(ctx, td)
	}
	return nil
}

func (k *taker) keep(td ptrace.Traces) { k.kept = append(k.kept, keptCall{td, k.encoded(td)}) }

func (k *taker) encoded(td ptrace.Traces) string {
	content, err := encodeTraces(td)
	require.NoError(k.t, err)
	return content
}

// TestMemoryOfCalls: what is given back is used for the calls behind it, and what somebody has is not.
func TestMemoryOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.NumShards, cfg.Linger = 1, time.Second
		telemetry := componenttest.NewTelemetry()
		next := &taker{t: t, spans: make(map[uint64]int)}
		p := newTestProcessor(t, cfg, telemetry, next)
		require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
		const calls, traces = 60, 30
		id := uint64(0)
		for range calls {
			var spans []testSpan
			for range traces {
				id++
				root := id
				for n := range 4 {
					s := testSpan{trace: root, id: id, service: fmt.Sprint("s", n), name: fmt.Sprint("work ", id), attributes: fmt.Sprint("id=", id, " square=", id*id)}
					if n > 0 {
						s.parent = root
					}
					spans = append(spans, s)
					id++
				}
			}
			require.NoError(t, p.ConsumeTraces(t.Context(), request(spans...)))
			time.Sleep(10 * time.Second)
		}
		require.NoError(t, p.Shutdown(t.Context()))
		require.NoError(t, telemetry.Shutdown(t.Context()))
		require.Len(t, next.spans, calls*traces*4)
		require.Greater(t, len(next.kept), calls/3)
		for _, kept := range next.kept {
			require.Equal(t, kept.then, next.encoded(kept.td))
		}
	})
}
