package servicemapexporter

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
	"go.yaml.in/yaml/v3"
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
	minimal := section("service_map")
	require.Equal(t, "bolt://localhost:7687", minimal.Neo4j.URI)
	require.False(t, minimal.Queue.HasValue())
	require.False(t, minimal.Neo4j.TLS.HasValue())
	require.Equal(t, minimal, section("service_map/explicit"))

	production := section("service_map/production")
	require.Equal(t, "tracewright", production.Neo4j.Username)
	require.EqualValues(t, "secret", production.Neo4j.Password)
	require.Equal(t, "map", production.Neo4j.Database)
	require.Equal(t, "ca.pem", production.Neo4j.TLS.Get().CAFile)
	require.EqualValues(t, 5000, production.Queue.Get().QueueSize)
	require.Equal(t, component.MustNewID("file_storage"), *production.Queue.Get().StorageID)
	require.True(t, production.Retry.Enabled)
	require.Equal(t, time.Duration(0), production.Retry.MaxElapsedTime)
}

func TestValidate(t *testing.T) {
	const givesUp = "retry_on_failure: gives up behind a sending_queue, so that calls would be lost when Neo4j is away for longer; " +
		"set enabled to true and max_elapsed_time to 0"
	neo4j := map[string]any{"uri": "bolt://localhost:7687"}
	for name, test := range map[string]struct {
		config map[string]any
		want   string
	}{
		"no server": {
			map[string]any{}, "neo4j: uri: is empty; name the server, for example bolt://localhost:7687",
		},
		"bounds": {
			map[string]any{"neo4j": neo4j, "max_virtual_nodes": 0, "minutes": "-1h", "retention": "-1s", "call_id_retention": "0s"},
			"max_virtual_nodes: 0 is too few; use 1 or more\n" +
				"minutes: -1h0m0s is negative; use a duration such as 24h, or 0 for ever\n" +
				"retention: -1s is negative; use a duration such as 24h, or 0 for ever\n" +
				"call_id_retention: must be positive, not 0s",
		},
		"batch": {
			map[string]any{"neo4j": neo4j, "sending_queue": map[string]any{"batch": map[string]any{"flush_timeout": "1s", "sizer": "items"}}},
			"sending_queue::batch: would merge and split calls, which must stay as they are; remove it",
		},
		"no retry": {
			map[string]any{"neo4j": neo4j, "sending_queue": map[string]any{"enabled": true}, "retry_on_failure": map[string]any{"enabled": false}},
			givesUp,
		},
		"limited retry": {
			map[string]any{"neo4j": neo4j, "sending_queue": map[string]any{"enabled": true}, "retry_on_failure": map[string]any{"max_elapsed_time": "5m"}},
			givesUp,
		},
		"synchronous": {
			map[string]any{"neo4j": neo4j, "retry_on_failure": map[string]any{"enabled": false}}, "",
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
			section, ok := confmap.NewFromStringMap(values).Get("exporters::service_map").(map[string]any)
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
