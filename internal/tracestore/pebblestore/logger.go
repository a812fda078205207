package pebblestore

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// pebbleLogger is Pebble's logger. Pebble reports what it does not survive by Fatalf and expects the process to end; a
// collector goes on, so that queries are answered and the other pipelines run: the store refuses writes from then on.
type pebbleLogger struct {
	logger *zap.Logger
	fail   func(error)
}

// Infof is silent: Pebble tells of every flush and compaction.
func (l *pebbleLogger) Infof(string, ...any) {}

func (l *pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Error("pebble: " + fmt.Sprintf(format, args...))
}

func (l *pebbleLogger) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf(format, args...))
}

// eventListener logs what somebody who runs the store wants to know, and nothing that happens all the time.
func eventListener(logger *zap.Logger) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) { logger.Error("background work of the trace store failed", zap.Error(err)) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			logger.Error("a file of the trace store is corrupt", zap.String("file", info.Path), zap.Error(info.Details))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			logger.Warn("the trace store holds writes until compaction catches up", zap.String("reason", info.Reason))
		},
		WriteStallEnd: func() { logger.Info("the trace store takes writes again") },
	}
}
