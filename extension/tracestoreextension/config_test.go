package tracestoreextension

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
)

func TestLoadConfig(t *testing.T) {
	usual := createPebbleConfig(t, map[string]any{}).Contrast
	require.Equal(t, []string{"service.version"}, usual.ServiceAttributes)
	encrypted := configtls.NewDefaultClientConfig()
	encrypted.CAFile = "ca.pem"
	keep := KeepConfig{Slowest: 0.05, Share: 0.1}
	neo4j := neo4jmap.NewDefaultClientConfig()
	neo4j.URI, neo4j.Username, neo4j.Password = "bolt+s://neo4j:7687", "neo4j", "secret"
	files, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[string]*Config{
		"trace_store": {Backends: map[string]BackendConfig{"main": {Pebble: &PebbleConfig{Path: "./data/traces", Retention: RetentionConfig{Age: 168 * time.Hour, Keep: keep}, Contrast: usual}}}},
		"trace_store/short": {Backends: map[string]BackendConfig{
			"main": {Pebble: &PebbleConfig{Path: "./data", Retention: RetentionConfig{Age: 48 * time.Hour, Keep: keep}, Contrast: ContrastConfig{
				EntryAttributes: []string{"user.tier"}, ServiceAttributes: []string{},
			}}},
			"archive": {Pebble: &PebbleConfig{Path: "/var/lib/archive", Retention: RetentionConfig{Keep: keep}, Contrast: usual}},
		}},
		"trace_store/worth": {Backends: map[string]BackendConfig{"main": {Pebble: &PebbleConfig{Path: "./data", Retention: RetentionConfig{
			Age: 720 * time.Hour, MaxBytes: 50_000_000_000, KeepAll: 72 * time.Hour, Keep: KeepConfig{Slowest: 0.01, Share: 0.25},
		}, Contrast: usual}}}},
		"trace_store/default_retention": {Backends: map[string]BackendConfig{"main": {Pebble: &PebbleConfig{Path: "./data", Retention: RetentionConfig{Age: 168 * time.Hour, Keep: keep}, Contrast: usual}}}},
		"trace_store/graph": {Backends: map[string]BackendConfig{
			"main":  {Pebble: &PebbleConfig{Path: "./data", Retention: RetentionConfig{Age: 168 * time.Hour, Keep: keep}, Contrast: usual}},
			"graph": {Neo4j: &neo4j},
		}},
		"trace_store/clickhouse": {Backends: map[string]BackendConfig{"main": {ClickHouse: &ClickHouseConfig{
			Endpoint: "clickhouse://localhost:9000", Database: "tracewright", CreateSchema: true, Variant: "plain", Retention: 168 * time.Hour,
			Limits: LimitsConfig{MaxRows: 200_000_000, MaxMemoryBytes: 4 << 30, MaxTime: 30 * time.Second},
		}}}},
		"trace_store/cluster": {Backends: map[string]BackendConfig{"main": {ClickHouse: &ClickHouseConfig{
			Endpoint: "clickhouse://a:9440,b:9440", Database: "spans", Username: "reader", Password: "secret", TLS: configoptional.Some(encrypted),
			Variant: "replicated", Cluster: "main", Limits: LimitsConfig{MaxRows: 1_000_000, MaxMemoryBytes: 1 << 30, MaxTime: 10 * time.Second},
		}}}},
	} {
		t.Run(id, func(t *testing.T) {
			config := createDefaultConfig()
			section, err := files.Sub(id)
			require.NoError(t, err)
			require.NoError(t, section.Unmarshal(config))
			require.NoError(t, confmap.Validate(config))
			require.Equal(t, component.Config(want), config)
		})
	}
}

func createPebbleConfig(t *testing.T, section map[string]any) *PebbleConfig {
	config := new(PebbleConfig)
	require.NoError(t, confmap.NewFromStringMap(section).Unmarshal(config))
	return config
}

func TestValidate(t *testing.T) {
	pebble := func(path string, retention time.Duration) BackendConfig {
		return BackendConfig{Pebble: &PebbleConfig{Path: path, Retention: RetentionConfig{Age: retention}}}
	}
	for name, test := range map[string]struct {
		backends map[string]BackendConfig
		want     string
	}{
		"no backend": {nil, "backends: names no storage; add one, for example backends: {main: {pebble: {path: ./data}}}"},
		"no kind": {
			map[string]BackendConfig{"main": {}},
			"backends::main: has no kind; give it one, for example pebble: {path: ./data}",
		},
		"two kinds": {
			map[string]BackendConfig{
				"a": {Pebble: &PebbleConfig{Path: "x"}, ClickHouse: &ClickHouseConfig{}},
				"b": {ClickHouse: &ClickHouseConfig{}, Neo4j: &neo4jmap.ClientConfig{}},
			},
			"backends::a: has several kinds, pebble and clickhouse; make them a storage each\n" +
				"backends::b: has several kinds, clickhouse and neo4j; make them a storage each",
		},
		"clickhouse": {
			map[string]BackendConfig{
				"a": {ClickHouse: &ClickHouseConfig{Database: "d", Variant: "plain", Cluster: "c", Retention: -1, Limits: LimitsConfig{MaxRows: 1}}},
				"b": {ClickHouse: &ClickHouseConfig{Endpoint: "clickhouse://h:9000?dial_timeout=soon", Variant: "sharded", Limits: LimitsConfig{1, 1, 1}}},
				"c": {ClickHouse: &ClickHouseConfig{Endpoint: "clickhouse://h:9000", Variant: "replicated", Limits: LimitsConfig{1, 1, 1}}},
			},
			"backends::a::clickhouse::endpoint: is empty; name a server, for example clickhouse://localhost:9000\n" +
				"backends::a::clickhouse: the plain variant is of no cluster; choose another, or name no cluster\n" +
				"backends::a::clickhouse::retention: -1ns is negative; use a duration such as 168h, or 0 to keep traces for ever\n" +
				"backends::a::clickhouse::limits: max_rows, max_memory_bytes and max_time must be above 0\n" +
				"backends::b::clickhouse::endpoint: clickhouse [dsn parse]: dial timeout: time: invalid duration \"soon\"\n" +
				"backends::b::clickhouse: \"sharded\" is no variant; use one of [\"plain\" \"on_cluster\" \"replicated\"]\n" +
				"backends::c::clickhouse: the variant replicated wants the name of a cluster",
		},
		"no name": {map[string]BackendConfig{"": pebble("a", 0)}, "backends: a storage has an empty name; name it"},
		"all faults at once": {
			map[string]BackendConfig{"a": pebble("", -time.Hour), "b": pebble("x", 0), "c": pebble("x/", 0)},
			"backends::a::pebble::path: is empty; name a folder for the data\n" +
				"backends::a::pebble::retention: -1h0m0s is negative; use a duration such as 168h, or 0 to keep traces for ever\n" +
				"backends::c::pebble::path: \"x/\" is the folder of backends::b::pebble too; give each its own",
		},
		"retention": {
			map[string]BackendConfig{"a": {Pebble: &PebbleConfig{Path: "x", Retention: RetentionConfig{
				Age: time.Hour, MaxBytes: -1, KeepAll: 2 * time.Hour, Keep: KeepConfig{Slowest: -0.5, Share: 1.5},
			}}}},
			"backends::a::pebble::retention::max_bytes: -1 is negative; use a number of bytes, or 0 for no bound\n" +
				"backends::a::pebble::retention::keep_all: 2h0m0s is longer than age, 1h0m0s; make it shorter, or leave it out\n" +
				"backends::a::pebble::retention::keep::slowest: -0.5 is not a share; use a number from 0 to 1\n" +
				"backends::a::pebble::retention::keep::share: 1.5 is not a share; use a number from 0 to 1",
		},
		"contrast": {
			map[string]BackendConfig{"a": {Pebble: &PebbleConfig{Path: "x", Contrast: ContrastConfig{
				EntryAttributes: []string{"", "k", "k"}, ServiceAttributes: append(strings.Split("abcdefghijklm", ""), "tracewright.tenant"),
			}}}},
			"backends::a::pebble::contrast::entry_attributes: has an empty key; name an attribute\n" +
				"backends::a::pebble::contrast::entry_attributes: \"k\" stands twice; name it once\n" +
				"backends::a::pebble::contrast::service_attributes: \"tracewright.tenant\" is one of Tracewright's own; name one of the senders'\n" +
				"backends::a::pebble::contrast: names 17 attributes; at most 16 are counted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, (&Config{Backends: test.backends}).Validate(), test.want)
		})
	}
}

func TestValidateNeo4j(t *testing.T) {
	config := createDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"backends": map[string]any{"graph": map[string]any{"neo4j": map[string]any{}}}}).Unmarshal(config))
	require.EqualError(t, confmap.Validate(config), "backends::graph::neo4j: uri: is empty; name the server, for example bolt://localhost:7687")
}

func clickHouseConfig(t *testing.T, section map[string]any) *ClickHouseConfig {
	config := new(ClickHouseConfig)
	require.NoError(t, confmap.NewFromStringMap(section).Unmarshal(config))
	return config
}
