package tracesourcesreceiver

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap/zapcore"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// warnings keeps the last warning, or error, that a source's receiver logged. Few receivers report their status, and all log what keeps them
// from working: Kafka's, say, that no broker answers.
type warnings struct {
	secrets *resolved

	mu   sync.Mutex // guards last
	last *tracesources.Warning
}

var _ zapcore.Core = (*warnings)(nil)

// maxWarning is how much of one is kept, bytes.
const maxWarning = 512

// Enabled implements zapcore.Core.
func (*warnings) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With implements zapcore.Core. Fields that stand on all lines say nothing of this one.
func (w *warnings) With([]zapcore.Field) zapcore.Core { return w }

// Check implements zapcore.Core.
func (w *warnings) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if w.Enabled(entry.Level) {
		return checked.AddCore(entry, w)
	}
	return checked
}

// Write implements zapcore.Core.
func (w *warnings) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(encoder)
	}
	text := entry.Message
	for _, key := range slices.Sorted(maps.Keys(encoder.Fields)) {
		text += fmt.Sprintf("; %s: %v", key, encoder.Fields[key])
	}
	text = w.secrets.redact(text)
	text = strings.ToValidUTF8(text[:min(len(text), maxWarning)], "\uFFFD")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = &tracesources.Warning{At: entry.Time, Text: text}
	return nil
}

// Sync implements zapcore.Core.
func (*warnings) Sync() error { return nil }

func (w *warnings) get() *tracesources.Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}
