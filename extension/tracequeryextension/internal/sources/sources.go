// Package sources knows where traces come from: who runs the sources that were added at run time, and what the configuration says.
package sources

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/confmap"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// ErrNobody says that no trace_sources runs in this process.
var ErrNobody = errors.New("nobody runs sources here: add trace_sources to receivers, and to service::pipelines::traces::receivers")

// Configured is a receiver of the configuration that takes traces.
type Configured struct {
	// ID is that in the configuration: the type, or type/name.
	ID   string
	Type string
	// Configuration is what was written, without secrets, references to the environment and to files as they are.
	Configuration map[string]any
}

// Registry is filled when the collector starts. It is safe for concurrent use.
type Registry struct {
	mu         sync.Mutex // guards the fields below
	manager    tracesources.Manager
	configured []Configured
}

// Register implements tracesources.Registry.
func (r *Registry) Register(m tracesources.Manager) (unregister func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.manager != nil {
		return nil, errors.New("there is another trace_sources, and the API changes the sources of one; remove one of them")
	}
	r.manager = m
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.manager = nil
	}, nil
}

// Manager is who runs sources, or ErrNobody.
func (r *Registry) Manager() (tracesources.Manager, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.manager == nil {
		return nil, ErrNobody
	}
	return r.manager, nil
}

// Configured lists the receivers of the configuration, by id.
func (r *Registry) Configured() []Configured {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.configured)
}

// configuration is what is looked at of the collector's.
type configuration struct {
	Receivers map[string]any `mapstructure:"receivers"`
	Service   struct {
		Pipelines map[string]struct {
			Receivers []string `mapstructure:"receivers"`
		} `mapstructure:"pipelines"`
	} `mapstructure:"service"`
}

// holder is the receiver that holds sources and is none itself.
const holder = "trace_sources"

// Configure takes the collector's configuration: effective says which receivers there are, and unexpanded, where it is not nil, what was
// written of them.
func (r *Registry) Configure(effective, unexpanded *confmap.Conf) error {
	var used, written configuration
	if err := effective.Unmarshal(&used, confmap.WithIgnoreUnused()); err != nil {
		return fmt.Errorf("read the receivers: %w", err)
	}
	if unexpanded != nil {
		// A section may itself stand in a file or a variable; then there is nothing to show of it.
		_ = unexpanded.Unmarshal(&written, confmap.WithIgnoreUnused())
	}
	found := make(map[string]Configured)
	for name, pipeline := range used.Service.Pipelines {
		if signal, _, _ := strings.Cut(name, "/"); signal != "traces" {
			continue
		}
		for _, id := range pipeline.Receivers {
			kind, _, _ := strings.Cut(id, "/")
			if _, is := used.Receivers[id]; !is || kind == holder {
				continue // a connector
			}
			section, _ := written.Receivers[id].(map[string]any)
			shown, _ := located("", tracesources.Redact(section), used.Receivers[id]).(map[string]any)
			if shown == nil {
				shown = map[string]any{}
			}
			found[id] = Configured{ID: id, Type: kind, Configuration: shown}
		}
	}
	list := make([]Configured, 0, len(found))
	for _, c := range found {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Configured) int { return cmp.Compare(a.ID, b.ID) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.configured = list
	return nil
}

// located puts the addresses that hold in the place of those that were written: one wants to know where spans are taken. All else may be a
// secret, and stays as it was written.
func located(key string, written, effective any) any {
	switch w := written.(type) {
	case map[string]any:
		e, _ := effective.(map[string]any)
		for name, inner := range w {
			w[name] = located(name, inner, e[name])
		}
	case []any:
		e, _ := effective.([]any)
		for i := range min(len(w), len(e)) {
			w[i] = located(key, w[i], e[i])
		}
	case string:
		if e, ok := effective.(string); ok && (key == "endpoint" || key == "brokers") {
			return e
		}
	}
	return written
}
