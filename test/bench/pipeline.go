package main

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// component is one entry of a section of the configuration: its id and its settings, which may be nil.
type component struct {
	id       string
	settings map[string]any
}

// pipeline is what stands between the OTLP receiver and the nop exporter, and the extensions that it needs.
type pipeline struct {
	processors []component
	extensions []component
	raw        bool // requests are handed on as they came
}

// ports are the collector's on the loopback address. profile is 0 where nobody asks for profiles, query but in the product.
type ports struct{ grpc, health, metrics, profile, query int }

// configuration is the collector's YAML. An empty cpuProfile keeps none.
func (p pipeline) configuration(at ports, cpuProfile string) ([]byte, error) {
	address := func(port int) string { return fmt.Sprint("127.0.0.1:", port) }
	extensions := append([]component{{"health_check", map[string]any{"endpoint": address(at.health)}}}, p.extensions...)
	if at.profile > 0 {
		settings := map[string]any{"endpoint": address(at.profile)}
		if cpuProfile != "" {
			settings["save_to_file"] = cpuProfile
		}
		extensions = append(extensions, component{"pprof", settings})
	}
	grpc := map[string]any{"endpoint": address(at.grpc), "include_metadata": true}
	if p.raw {
		extensions = append(extensions, component{"raw_spans", nil})
		grpc["middlewares"] = []any{map[string]any{"id": "raw_spans"}}
	}
	reader := map[string]any{"pull": map[string]any{"exporter": map[string]any{
		"prometheus": map[string]any{"host": "127.0.0.1", "port": at.metrics},
	}}}
	return yaml.Marshal(map[string]any{
		"receivers":  map[string]any{"otlp": map[string]any{"protocols": map[string]any{"grpc": grpc}}},
		"processors": section(p.processors),
		"exporters":  map[string]any{"nop": nil},
		"extensions": section(extensions),
		"service": map[string]any{
			"extensions": ids(extensions),
			"pipelines": map[string]any{"traces": map[string]any{
				"receivers": []string{"otlp"}, "processors": ids(p.processors), "exporters": []string{"nop"},
			}},
			"telemetry": map[string]any{"metrics": map[string]any{"readers": []any{reader}}},
		},
	})
}

func section(components []component) map[string]any {
	s := make(map[string]any, len(components))
	for _, c := range components {
		s[c.id] = c.settings
	}
	return s
}

func ids(components []component) []string {
	names := make([]string, 0, len(components))
	for _, c := range components {
		names = append(names, c.id)
	}
	return names
}
