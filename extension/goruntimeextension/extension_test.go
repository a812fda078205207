package goruntimeextension

import (
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/tracewright/tracewright/extension/goruntimeextension/internal/metadata"
)

func percent() int {
	before := debug.SetGCPercent(100)
	debug.SetGCPercent(before)
	return before
}

func start(t *testing.T, config *Config) extension.Extension {
	t.Helper()
	require.NoError(t, config.Validate())
	ext, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), config)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	return ext
}

// unset takes variables out of the environment as long as the test runs.
func unset(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, "") // brings back what was
		require.NoError(t, os.Unsetenv(name))
	}
}

func TestSetAndUndo(t *testing.T) {
	unset(t, "GOGC", "GOMEMLIMIT")
	percentBefore, limitBefore := percent(), debug.SetMemoryLimit(-1)
	whole := start(t, &Config{GCPercent: 300, MemoryLimitPercentage: 100})
	all := debug.SetMemoryLimit(-1)
	require.Equal(t, 300, percent())
	require.Less(t, all, int64(math.MaxInt64))
	require.Greater(t, all, int64(64<<20), "bytes that this machine has")
	require.NoError(t, whole.Shutdown(t.Context()))
	require.Equal(t, percentBefore, percent())
	require.Equal(t, limitBefore, debug.SetMemoryLimit(-1))

	half := start(t, &Config{GCPercent: 150, MemoryLimitPercentage: 50})
	require.InEpsilon(t, all/2, debug.SetMemoryLimit(-1), 0.01)
	require.NoError(t, half.Shutdown(t.Context()))
}

func TestNoLimit(t *testing.T) {
	unset(t, "GOGC", "GOMEMLIMIT")
	before := debug.SetMemoryLimit(-1)
	ext := start(t, &Config{GCPercent: 150})
	require.Equal(t, before, debug.SetMemoryLimit(-1))
	require.NoError(t, ext.Shutdown(t.Context()))
}

// What the environment says was Go's before the extension came, and stays.
func TestEnvironmentGoesFirst(t *testing.T) {
	t.Setenv("GOGC", "77")
	t.Setenv("GOMEMLIMIT", "7GiB")
	percentBefore, limitBefore := percent(), debug.SetMemoryLimit(-1)
	ext := start(t, createDefaultConfig().(*Config))
	require.Equal(t, percentBefore, percent())
	require.Equal(t, limitBefore, debug.SetMemoryLimit(-1))
	require.NoError(t, ext.Shutdown(t.Context()))
}

func TestConfigThatCannotWork(t *testing.T) {
	require.ErrorContains(t, (&Config{GCPercent: 0}).Validate(), "gc_percent is 0")
	require.ErrorContains(t, (&Config{GCPercent: 100, MemoryLimitPercentage: 101}).Validate(), "memory_limit_percentage is 101")
	require.ErrorContains(t, (&Config{GCPercent: 100, MemoryLimitPercentage: -1}).Validate(), "memory_limit_percentage is -1")
}
