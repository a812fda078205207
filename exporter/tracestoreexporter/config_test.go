package tracestoreexporter

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func load(t *testing.T, conf *confmap.Conf) *Config {
	t.Helper()
	config := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(config))
	return config
}

func TestLoadConfig(t *testing.T) {
	files, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	section := func(id string) *Config {
		conf, err := files.Sub(id)
		require.NoError(t, err)
		config := load(t, conf)
		require.NoError(t, confmap.Validate(config))
		return config
	}
	minimal := section("trace_store")
	require.Equal(t, "main", minimal.Storage)
	require.False(t, minimal.Queue.HasValue())
	require.False(t, minimal.Retry.Enabled)
	require.Equal(t, minimal, section("trace_store/explicit"))

	queue := section("trace_store/queue")
	require.Equal(t, int64(10), queue.Queue.Get().QueueSize)
	require.Equal(t, component.MustNewID("file_storage"), *queue.Queue.Get().StorageID)
	require.False(t, queue.Queue.Get().Batch.HasValue())
	require.True(t, queue.Retry.Enabled)
	require.Equal(t, time.Duration(0), queue.Retry.MaxElapsedTime)
}

func TestValidate(t *testing.T) {
	const givesUp = "retry_on_failure: gives up behind a sending_queue, so that calls would be lost when the storage is away for longer; " +
		"set enabled to true and max_elapsed_time to 0"
	for name, test := range map[string]struct {
		config map[string]any
		want   string
	}{
		"no storage": {
			map[string]any{},
			"storage: is empty; name a backend of the trace_store extension, for example main",
		},
		"queue without retry": {
			map[string]any{"storage": "main", "sending_queue": map[string]any{"enabled": true}},
			givesUp,
		},
		"queue with a limited retry": {
			map[string]any{
				"storage": "main", "sending_queue": map[string]any{"enabled": true},
				"retry_on_failure": map[string]any{"enabled": true, "max_elapsed_time": "1h"},
			},
			givesUp,
		},
		"batch": {
			map[string]any{
				"storage":          "main",
				"sending_queue":    map[string]any{"batch": map[string]any{"flush_timeout": "1s", "sizer": "items"}},
				"retry_on_failure": map[string]any{"enabled": true},
			},
			"sending_queue::batch: would merge and split calls, which must stay as they are; remove it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, load(t, confmap.NewFromStringMap(test.config)).Validate(), test.want)
		})
	}
	for name, more := range map[string]map[string]any{
		"whoever hands on waits":  {"sending_queue": map[string]any{"wait_for_result": true}},
		"no queue, limited retry": {"retry_on_failure": map[string]any{"enabled": true, "max_elapsed_time": "1m"}},
		"a queue, retry for ever": {"sending_queue": map[string]any{"enabled": true}, "retry_on_failure": map[string]any{"enabled": true}},
	} {
		more["storage"] = "main"
		require.NoError(t, load(t, confmap.NewFromStringMap(more)).Validate(), name)
	}
}
