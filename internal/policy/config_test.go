package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type pipeline struct {
	Receivers  []string `yaml:"receivers"`
	Processors []string `yaml:"processors"`
	Exporters  []string `yaml:"exporters"`
}

type collectorConfig struct {
	Receivers  map[string]map[string]any `yaml:"receivers"`
	Exporters  map[string]map[string]any `yaml:"exporters"`
	Connectors map[string]any            `yaml:"connectors"`
	Extensions map[string]map[string]any `yaml:"extensions"`
	Service    struct {
		Extensions []string            `yaml:"extensions"`
		Pipelines  map[string]pipeline `yaml:"pipelines"`
		Telemetry  map[string]any      `yaml:"telemetry"`
	} `yaml:"service"`
}

// What stands after trace_assembly must keep its calls: nothing that regroups spans, and no queue in memory, which would lose
// at a crash what assembly believes to be delivered. An exporter without call ids counts a repeated call twice: it stands in a
// pipeline of its own, so that a call is not repeated to it because another exporter refused.
func TestConfigurationsKeepCalls(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, fault := range deliveryFaults(t, content) {
			t.Errorf("%s: %s", filepath.Base(file), fault)
		}
	}
}

// A process that sends spans of its own to itself makes new ones by that, without end.
func TestConfigurationsDoNotTraceThemselves(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var config collectorConfig
		require.NoError(t, yaml.Unmarshal(content, &config))
		require.NotContains(t, config.Service.Telemetry, "traces", filepath.Base(file))
	}
}

// A packed request over HTTP is unpacked as its sender says, and ten bytes of zstd can ask for 512 MiB.
func TestConfigurationsTakeNoZstd(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	servers := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var config struct {
			Receivers map[string]map[string]any `yaml:"receivers"`
		}
		require.NoError(t, yaml.Unmarshal(content, &config))
		for id, receiver := range config.Receivers {
			protocols, _ := receiver["protocols"].(map[string]any)
			for _, server := range []any{protocols["http"], protocols["thrift_http"], map[string]any{"zipkin": receiver}[componentType(id)]} {
				if section, ok := server.(map[string]any); ok {
					servers++
					require.Contains(t, section["compression_algorithms"], "gzip", "%s, %s", filepath.Base(file), id)
					require.NotContains(t, section["compression_algorithms"], "zstd", "%s, %s", filepath.Base(file), id)
				}
			}
		}
	}
	require.GreaterOrEqual(t, servers, 5)
}

// What is packed over gRPC is bounded where go_runtime is linked, for it cannot be left out there; and what a process may take is set where it runs.
func TestServersOfGRPCAreBounded(t *testing.T) {
	for _, file := range []string{productManifest, agentManifest} {
		manifest := readManifest(t, file)
		require.True(t, slices.ContainsFunc(manifest["extensions"], func(m manifestModule) bool {
			return m.Import == modulePath+"/extension/goruntimeextension"
		}), file)
	}
	servers := 0
	for _, file := range wholeConfigurations(t) {
		config := readConfig(t, file)
		servers++
		require.Contains(t, config.Service.Extensions, "go_runtime", file)
	}
	require.GreaterOrEqual(t, servers, 3)
}

// load_balancing copies a resource for each of its scopes, behind the queue: what that makes too large is too large again after each restart, and
// lost where a gateway refuses it for its size.
func TestAgentsBoundWhatTheySplit(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "config", "agent*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		processors := readConfig(t, file).Service.Pipelines["traces"].Processors
		require.Equal(t, 1, slices.Index(processors, "agent_guard"), "%s: agent_guard stands before all that adds, behind memory_limiter", file)
	}
	config := readConfig(t, filepath.Join(root, "config", "agent.yaml"))
	protocols := config.Receivers["otlp"]["protocols"].(map[string]any)
	require.Equal(t, 4, protocols["grpc"].(map[string]any)["max_recv_msg_size_mib"], "half of what gateways take")
	require.Equal(t, 4<<20, protocols["http"].(map[string]any)["max_request_body_size"])
}

// A queue's file does not shrink by itself: it would stay as large as the longest outage made it.
func TestQueuesGiveBackTheirSpace(t *testing.T) {
	queues := 0
	for _, file := range wholeConfigurations(t) {
		for id, extension := range readConfig(t, file).Extensions {
			if componentType(id) == "file_storage" && extension["fsync"] == true {
				queues++
				compaction, _ := extension["compaction"].(map[string]any)
				require.Equal(t, true, compaction["on_rebound"], file)
				require.Equal(t, extension["directory"], compaction["directory"], "%s: moved in one step", file)
			}
		}
	}
	require.Equal(t, 2, queues)
}

// wholeConfigurations are those that are no addition to another; name.more.yaml is.
func wholeConfigurations(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	return slices.DeleteFunc(files, func(file string) bool { return strings.Count(filepath.Base(file), ".") > 1 })
}

func readConfig(t *testing.T, file string) (config collectorConfig) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &config))
	return config
}

func deliveryFaults(t *testing.T, content []byte) (faults []string) {
	t.Helper()
	var config collectorConfig
	require.NoError(t, yaml.Unmarshal(content, &config))
	for name, p := range config.Service.Pipelines {
		assembly := slices.IndexFunc(p.Processors, func(id string) bool { return componentType(id) == "trace_assembly" })
		if assembly < 0 {
			continue
		}
		for _, processor := range p.Processors[assembly+1:] {
			if !slices.Contains(keepCalls, componentType(processor)) {
				faults = append(faults, name+": "+processor+" stands after trace_assembly")
			}
		}
		for _, exporter := range p.Exporters {
			if len(p.Exporters) > 1 && !slices.Contains(ignoreRepeats, componentType(exporter)) {
				faults = append(faults, name+": "+exporter+" has no call ids and stands beside others")
			}
			if _, connector := config.Connectors[exporter]; connector {
				faults = append(faults, fedFaults(&config, exporter)...)
				continue
			}
			faults = append(faults, exporterFaults(name+": "+exporter, componentType(exporter), config.Exporters[exporter])...)
		}
	}
	return faults
}

// A connector has no queue: the exporters of the pipelines that it feeds must have one as if they stood in its place. They may batch what are no
// calls any more.
func fedFaults(config *collectorConfig, connector string) (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(config.Service.Pipelines)) {
		p := config.Service.Pipelines[name]
		if !slices.Contains(p.Receivers, connector) {
			continue
		}
		for _, exporter := range p.Exporters {
			for _, fault := range exporterFaults(name+": "+exporter, componentType(exporter), config.Exporters[exporter]) {
				if componentType(name) == "traces" || !strings.Contains(fault, "batches") {
					faults = append(faults, fault)
				}
			}
		}
	}
	return faults
}

var (
	// Processors that make the same of the same spans.
	keepCalls = []string{"trace_analysis", "attributes", "resource", "filter", "transform"}
	// Exporters to which a repeated call does no harm; the others in question commit or note what they have.
	ignoreRepeats = []string{"trace_store", "trace_clickhouse", "service_map", "debug", "nop"}
	// Exporters that are synchronous where their configuration says nothing.
	synchronousByDefault = []string{"trace_store", "trace_clickhouse", "service_map", "debug", "nop"}
)

func exporterFaults(name, kind string, config map[string]any) (faults []string) {
	queue, given := config["sending_queue"].(map[string]any)
	if enabled, ok := queue["enabled"].(bool); (ok && !enabled) || (!given && slices.Contains(synchronousByDefault, kind)) {
		return nil
	}
	if _, persistent := queue["storage"]; !persistent {
		faults = append(faults, name+" has a queue in memory: name a file_storage in sending_queue::storage, or disable it")
	}
	if _, batches := queue["batch"]; batches {
		faults = append(faults, name+" batches, which splits calls")
	}
	retry, _ := config["retry_on_failure"].(map[string]any)
	if elapsed, ok := retry["max_elapsed_time"]; !ok || retry["enabled"] == false || (elapsed != 0 && elapsed != "0" && elapsed != "0s") {
		faults = append(faults, name+" gives up: set retry_on_failure::max_elapsed_time to 0")
	}
	return faults
}

func componentType(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

// What the examples add to a configuration keeps its promises.
func TestExamplesKeepCalls(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples", "*", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if filepath.Base(filepath.Dir(file)) == "alerts" { // for Prometheus
			continue
		}
		base, err := os.ReadFile(filepath.Join(root, "config", filepath.Base(file)))
		if errors.Is(err, fs.ErrNotExist) {
			base, err = os.ReadFile(filepath.Join(root, "config", "tracewright.yaml"))
		}
		require.NoError(t, err)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var whole, overlay map[string]any
		require.NoError(t, yaml.Unmarshal(base, &whole))
		require.NoError(t, yaml.Unmarshal(content, &overlay))
		require.Contains(t, overlay, "service", "%s is no configuration", file)
		merge(whole, overlay)
		merged, err := yaml.Marshal(whole)
		require.NoError(t, err)
		require.Empty(t, deliveryFaults(t, merged), file)
	}
}

// merge lays one configuration over another as the collector does: maps unite, the rest is replaced.
func merge(under, over map[string]any) {
	for key, value := range over {
		above, ok := value.(map[string]any)
		below, both := under[key].(map[string]any)
		if ok && both {
			merge(below, above)
		} else {
			under[key] = value
		}
	}
}

func TestConnectorsKeepCalls(t *testing.T) {
	const queue = "{sending_queue: {storage: file_storage, batch: {}}, retry_on_failure: {max_elapsed_time: 0}}"
	const config = "connectors: {tracesummary: }\nexporters: {otlp: %s}\nservice: {pipelines: {" +
		"traces: {receivers: [otlp], processors: [trace_assembly], exporters: [%s]}, " +
		"logs: {receivers: [tracesummary], exporters: [otlp]}}}"
	for name, test := range map[string]struct {
		exporter, exporters string
		want                []string
	}{
		"persistent": {queue, "tracesummary", nil},
		"memory": {"{}", "tracesummary", []string{
			"logs: otlp has a queue in memory: name a file_storage in sending_queue::storage, or disable it",
			"logs: otlp gives up: set retry_on_failure::max_elapsed_time to 0",
		}},
		"beside the store": {queue, "trace_store, tracesummary", []string{"traces: tracesummary has no call ids and stands beside others"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, deliveryFaults(t, fmt.Appendf(nil, config, test.exporter, test.exporters)))
		})
	}
}

func TestDeliveryFaults(t *testing.T) {
	const service = "\nservice: {pipelines: {traces: {processors: [trace_assembly, trace_analysis, batch], exporters: [otlp]}}}"
	for name, test := range map[string]struct {
		exporters string
		want      []string
	}{
		"memory queue": {
			"exporters: {otlp: {}}",
			[]string{"batch stands after", "queue in memory", "gives up"},
		},
		"batching": {
			"exporters: {otlp: {sending_queue: {storage: file_storage, batch: {}}, retry_on_failure: {max_elapsed_time: 0}}}",
			[]string{"batch stands after", "splits calls"},
		},
		"persistent": {
			"exporters: {otlp: {sending_queue: {storage: file_storage}, retry_on_failure: {max_elapsed_time: 0s}}}",
			[]string{"batch stands after"},
		},
		"no retry": {
			"exporters: {otlp: {sending_queue: {storage: file_storage}, retry_on_failure: {enabled: false, max_elapsed_time: 0}}}",
			[]string{"batch stands after", "gives up"},
		},
		"synchronous": {
			"exporters: {otlp: {sending_queue: {enabled: false}}}",
			[]string{"batch stands after"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveryFaults(t, []byte(test.exporters+service))
			require.Len(t, got, len(test.want))
			for i, want := range test.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestSinksWithoutCallIDsStandAlone(t *testing.T) {
	const pipelines = "service: {pipelines: {traces: {processors: [trace_assembly], exporters: [trace_store, otlp]}}}\n"
	const queue = "{sending_queue: {storage: file_storage}, retry_on_failure: {max_elapsed_time: 0}}"
	require.Equal(t, []string{"traces: otlp has no call ids and stands beside others"},
		deliveryFaults(t, []byte(pipelines+"exporters: {otlp: "+queue+"}")))
	require.Equal(t, []string{"traces: groupbytrace stands after trace_assembly"},
		deliveryFaults(t, []byte("service: {pipelines: {traces: {processors: [trace_assembly, groupbytrace], exporters: [nop]}}}")))
}
