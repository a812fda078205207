package traceassemblyprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestRejectLog(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	now := time.Duration(0)
	log := rejectLog{logger: zap.New(core), now: func() time.Duration { return now }}
	log.note(&rejections{})
	require.Zero(t, lines.Len())
	log.note(&rejections{rejectedTraceID: 1})
	for range 100 {
		log.note(&rejections{rejectedSpanID: 2, rejectedSize: 1})
	}
	require.Equal(t, 1, lines.Len(), "one line in 10s")
	now = rejectLogInterval
	log.note(&rejections{rejectedSize: 1})
	require.Equal(t, 2, lines.Len())
	require.Equal(t, map[string]any{"zero_span_id": int64(200), "too_large": int64(101)}, lines.All()[1].ContextMap())
}
