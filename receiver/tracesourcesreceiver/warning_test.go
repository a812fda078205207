package tracesourcesreceiver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

func TestWarnings(t *testing.T) {
	w := &warnings{secrets: &resolved{secrets: map[string]secret{"": {value: "hunter2"}}}}
	logger := zap.New(w).With(zap.String("always", "hunter2"))
	logger.Info("password is hunter2")
	require.Nil(t, w.get())
	logger.Warn("refused hunter2", zap.String("as", "me:hunter2"))
	require.Equal(t, "refused [REDACTED]; as: me:[REDACTED]", w.get().Text)
	logger.Error(strings.Repeat("\xff", 1000))
	require.LessOrEqual(t, len(w.get().Text), 3*maxWarning)
	require.NotContains(t, w.get().Text, "\xff")
}
