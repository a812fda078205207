package traceclickhouseexporter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.yaml.in/yaml/v3"

	"github.com/tracewright/tracewright/exporter/traceclickhouseexporter/internal/metadata"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
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
	minimal := section("trace_clickhouse")
	require.Equal(t, "clickhouse://localhost:9000", minimal.Endpoint)
	require.False(t, minimal.Queue.HasValue())
	require.Equal(t, minimal, section("trace_clickhouse/explicit"))

	production := section("trace_clickhouse/production")
	require.EqualValues(t, "secret", production.Password)
	require.Equal(t, "ca.pem", production.TLS.CAFile)
	require.Equal(t, clickhousestore.VariantReplicated, production.Variant)
	require.EqualValues(t, 5000, production.Queue.Get().QueueSize)
	require.Equal(t, component.MustNewID("file_storage"), *production.Queue.Get().StorageID)
	require.Equal(t, time.Duration(0), production.Retry.MaxElapsedTime)

	inserting := production.inserting("some_table")
	require.Equal(t, "some_table", inserting.TracesTableName)
	require.Equal(t, "spans", inserting.Database)
	require.Equal(t, "ca.pem", inserting.TLS.CAFile)
	require.False(t, inserting.CreateSchema)
	require.False(t, inserting.AsyncInsert)
	require.False(t, inserting.QueueSettings.HasValue())
}

// Replicated tables drop what they have themselves, and there are no others for what comes again.
func TestTables(t *testing.T) {
	for variant, tables := range map[clickhousestore.Variant]int{
		clickhousestore.VariantPlain: 3, clickhousestore.VariantOnCluster: 3, clickhousestore.VariantReplicated: 1,
	} {
		config := createDefaultConfig().(*Config)
		config.Endpoint, config.Variant = "http://127.0.0.1:1", variant
		e, err := newExporter(t.Context(), exportertest.NewNopSettings(metadata.Type), config)
		require.NoError(t, err)
		require.Len(t, e.tables, tables, variant)
	}
}

func TestValidate(t *testing.T) {
	const givesUp = "retry_on_failure: gives up behind a sending_queue, so that calls would be lost when ClickHouse is away for longer; " +
		"set enabled to true and max_elapsed_time to 0"
	const endpoint = "clickhouse://localhost:9000"
	for name, test := range map[string]struct {
		config map[string]any
		want   string
	}{
		"nothing": {
			map[string]any{"database": "", "variant": "sharded"},
			"endpoint: is empty; name a server, for example clickhouse://localhost:9000\n" +
				"database: is empty; name the one of trace_store\n" +
				"variant: \"sharded\" is none; use one of [\"plain\" \"on_cluster\" \"replicated\"]",
		},
		"endpoint": {
			map[string]any{"endpoint": "clickhouse://h:9000?dial_timeout=soon"},
			"endpoint: clickhouse [dsn parse]: dial timeout: time: invalid duration \"soon\"",
		},
		"servers": {
			map[string]any{"endpoint": "clickhouse://a:9000,b:9000"},
			"endpoint: names 2 servers, which have not the same in them: a call that is repeated to another one would count twice; " +
				"name one, or use the variant replicated",
		},
		"replicas": {map[string]any{"endpoint": "clickhouse://a:9000,b:9000", "variant": "replicated"}, ""},
		"batch": {
			map[string]any{"endpoint": endpoint, "sending_queue": map[string]any{"batch": map[string]any{"flush_timeout": "1s", "sizer": "items"}}},
			"sending_queue::batch: would merge and split calls, which must stay as they are; remove it",
		},
		"no retry": {
			map[string]any{"endpoint": endpoint, "sending_queue": map[string]any{"enabled": true}, "retry_on_failure": map[string]any{"enabled": false}},
			givesUp,
		},
		"limited retry": {
			map[string]any{"endpoint": endpoint, "sending_queue": map[string]any{"enabled": true}, "retry_on_failure": map[string]any{"max_elapsed_time": "5m"}},
			givesUp,
		},
		"synchronous": {
			map[string]any{"endpoint": endpoint, "retry_on_failure": map[string]any{"enabled": false}}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := confmap.Validate(load(t, confmap.NewFromStringMap(test.config)))
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.want)
			}
		})
	}
}

// TestDocs: the configurations that are shown work.
func TestDocs(t *testing.T) {
	shown := 0
	for _, file := range []string{"README.md", "../../docs/production.md"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, part := range strings.Split(string(content), "```yaml\n")[1:] {
			block, _, _ := strings.Cut(part, "```")
			var values map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(block), &values), file)
			section, ok := confmap.NewFromStringMap(values).Get("exporters::trace_clickhouse").(map[string]any)
			if !ok {
				continue
			}
			config := load(t, confmap.NewFromStringMap(section))
			require.NoError(t, confmap.Validate(config), file)
			require.Equal(t, component.MustNewID("file_storage"), *config.Queue.Get().StorageID, file)
			shown++
		}
	}
	require.Equal(t, 2, shown)
}
