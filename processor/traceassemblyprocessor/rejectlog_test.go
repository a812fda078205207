package traceassemblyprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestRejectLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.WarnLevel)
		log := rejectLog{logger: zap.New(core)}
		log.note(&rejections{})
		require.Zero(t, lines.Len())

		log.note(&rejections{rejectedTraceID: 1})
		for range 100 {
			log.note(&rejections{rejectedSpanID: 2, rejectedSize: 1})
		}
		require.Equal(t, 1, lines.Len(), "one line in 10s")
		time.Sleep(rejectLogInterval)
		synctest.Wait()
		require.Equal(t, 2, lines.Len(), "the rest is written although no more come")
		require.Equal(t, map[string]any{"zero_span_id": int64(200), "too_large": int64(100)}, lines.All()[1].ContextMap())

		time.Sleep(2 * rejectLogInterval)
		log.note(&rejections{rejectedSize: 1})
		require.Equal(t, 3, lines.Len(), "at once after a pause")
		log.note(&rejections{rejectedSize: 7})
		log.close()
		require.Equal(t, 4, lines.Len())
		require.Equal(t, map[string]any{"too_large": int64(7)}, lines.All()[3].ContextMap())
		time.Sleep(2 * rejectLogInterval)
		log.note(&rejections{rejectedSize: 1})
		require.Equal(t, 4, lines.Len(), "nothing after close")
	})
}
