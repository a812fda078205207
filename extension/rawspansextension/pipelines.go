package rawspansextension

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// configuration is what is looked at of the collector's.
type configuration struct {
	Receivers map[string]any `mapstructure:"receivers"`
	Service   struct {
		Pipelines map[string]struct {
			Receivers  []string `mapstructure:"receivers"`
			Processors []string `mapstructure:"processors"`
		} `mapstructure:"pipelines"`
	} `mapstructure:"service"`
}

// checkPipelines finds the pipelines of traces whose receiver has the extension among its middlewares and that do not begin with
// trace_assembly: others would take placeholders for spans.
func checkPipelines(id component.ID, conf *confmap.Conf) error {
	var c configuration
	if err := conf.Unmarshal(&c, confmap.WithIgnoreUnused()); err != nil {
		return fmt.Errorf("read the pipelines: %w", err)
	}
	var faults []error
	for name, config := range c.Receivers {
		if names(config, id.String()) {
			faults = append(faults, pathFaults(name, config)...)
		}
	}
	for name, pipeline := range c.Service.Pipelines {
		if signal, _, _ := strings.Cut(name, "/"); signal != "traces" || takesRaw(pipeline.Processors) {
			continue
		}
		for _, receiver := range pipeline.Receivers {
			if names(c.Receivers[receiver], id.String()) {
				faults = append(faults, fmt.Errorf("service::pipelines::%s: receiver %s has %s among its middlewares, so trace_assembly must be the first "+
					"processor, behind memory_limiter at most; take %s out of the receiver's middlewares, or give this pipeline a receiver of its own",
					name, receiver, id, id))
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

// pathFaults are the URL paths of the otlp receiver by which requests with traces and others cannot be told apart: over HTTP nothing else
// tells them apart before they are decoded.
func pathFaults(receiver string, config any) (faults []error) {
	section, _ := config.(map[string]any)
	protocols, _ := section["protocols"].(map[string]any)
	http, _ := protocols["http"].(map[string]any)
	for key, value := range http {
		path, ok := value.(string)
		if signal, of := strings.CutSuffix(key, "_url_path"); of && ok && (signal == "traces") != strings.HasSuffix(path, tracesPath) {
			faults = append(faults, fmt.Errorf("receivers::%s::protocols::http::%s is %q: with raw_spans the path of traces, and no other, ends in %s",
				receiver, key, path, tracesPath))
		}
	}
	return faults
}

// takesRaw says whether placeholders come to trace_assembly before anybody else looks at them.
func takesRaw(processors []string) bool {
	for _, id := range processors {
		switch kind, _, _ := strings.Cut(id, "/"); kind {
		case "memory_limiter":
		case "trace_assembly":
			return true
		default:
			return false
		}
	}
	return false
}

// names says whether a receiver's configuration has the extension among the middlewares of any of its protocols.
func names(config any, id string) bool {
	section, ok := config.(map[string]any)
	if !ok {
		return false
	}
	for key, value := range section {
		if key != "middlewares" {
			if names(value, id) {
				return true
			}
			continue
		}
		list, _ := value.([]any)
		for _, middleware := range list {
			if one, ok := middleware.(map[string]any); ok && fmt.Sprint(one["id"]) == id {
				return true
			}
		}
	}
	return false
}
