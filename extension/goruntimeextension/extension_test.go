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
	percentBefore, limitBefore := gcPercent(), debug.SetMemoryLimit(-1)
	whole := start(t, &Config{GCPercent: 300, MinGCPercent: 25, MemoryLimitPercentage: 100})
	all := debug.SetMemoryLimit(-1)
	require.Equal(t, 300, gcPercent())
	require.Less(t, all, int64(math.MaxInt64))
	require.Greater(t, all, int64(64<<20), "bytes that this machine has")
	require.NoError(t, whole.Shutdown(t.Context()))
	require.Equal(t, percentBefore, gcPercent())
	require.Equal(t, limitBefore, debug.SetMemoryLimit(-1))

	half := start(t, &Config{GCPercent: 150, MinGCPercent: 25, MemoryLimitPercentage: 50})
	require.InEpsilon(t, all/2, debug.SetMemoryLimit(-1), 0.01)
	require.NoError(t, half.Shutdown(t.Context()))
}

func TestNoLimit(t *testing.T) {
	unset(t, "GOGC", "GOMEMLIMIT")
	before := debug.SetMemoryLimit(-1)
	ext := start(t, &Config{GCPercent: 150, MinGCPercent: 25})
	require.Equal(t, before, debug.SetMemoryLimit(-1))
	require.NoError(t, ext.Shutdown(t.Context()))
}

// What the environment says was Go's before the extension came, and stays.
func TestEnvironmentGoesFirst(t *testing.T) {
	t.Setenv("GOGC", "77")
	t.Setenv("GOMEMLIMIT", "7GiB")
	percentBefore, limitBefore := gcPercent(), debug.SetMemoryLimit(-1)
	ext := start(t, createDefaultConfig().(*Config))
	require.Equal(t, percentBefore, gcPercent())
	require.Equal(t, limitBefore, debug.SetMemoryLimit(-1))
	require.NoError(t, ext.Shutdown(t.Context()))
}

// Templates write an empty variable where nothing is given, and Go passes over it.
func TestEmptyEnvironmentIsNone(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	ext := start(t, &Config{GCPercent: 150, MinGCPercent: 25, MemoryLimitPercentage: 50})
	require.Equal(t, 150, gcPercent())
	require.Less(t, debug.SetMemoryLimit(-1), int64(math.MaxInt64))
	require.NoError(t, ext.Shutdown(t.Context()))
}

func TestConfigThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.GCPercent = 0 }, "gc_percent is 0"},
		{func(c *Config) { c.MaxHeadroomMiB = -1 }, "max_headroom_mib is -1"},
		{func(c *Config) { c.MinGCPercent = 0 }, "min_gc_percent is 0"},
		{func(c *Config) { c.MemoryLimitPercentage = 101 }, "memory_limit_percentage is 101"},
		{func(c *Config) { c.MemoryLimitPercentage = -1 }, "memory_limit_percentage is -1"},
	} {
		config := createDefaultConfig().(*Config)
		require.NoError(t, config.Validate())
		c.change(config)
		require.ErrorContains(t, config.Validate(), c.says)
	}
}
