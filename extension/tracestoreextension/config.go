package tracestoreextension

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// defaultRetention keeps a week.
const defaultRetention = 168 * time.Hour

// Config is the extension's configuration.
type Config struct {
	// Backends are the storages by name. Exporters and the query extension choose one by this name. At least one.
	Backends map[string]BackendConfig `mapstructure:"backends"`
}

// BackendConfig is one storage. Exactly one kind is given.
type BackendConfig struct {
	// Pebble is the embedded storage in a folder.
	Pebble *PebbleConfig `mapstructure:"pebble"`
}

// PebbleConfig is an embedded storage.
type PebbleConfig struct {
	// Path is the folder that holds the data. It is made where it does not exist. One process uses it at a time. Required.
	Path string `mapstructure:"path"`
	// Retention is how long traces are kept, counted from their release. They are dropped by whole days (UTC), so at most
	// a day later. 0 keeps them for ever. Default 168h.
	Retention time.Duration `mapstructure:"retention"`
	// Contrast are the attributes by which traces are told apart in sums over many.
	Contrast ContrastConfig `mapstructure:"contrast"`
}

// ContrastConfig names attributes, each of which should have few values: of each key of a service 50 are told apart in a minute.
// Together at most 16. An empty list is none.
type ContrastConfig struct {
	// EntryAttributes are looked up on the span by which a request entered, then on its resource. Default
	// http.response.status_code, k8s.node.name, cloud.availability_zone, user.tier.
	EntryAttributes []string `mapstructure:"entry_attributes"`
	// ServiceAttributes are looked up on the resources of all services of a trace. Default service.version.
	ServiceAttributes []string `mapstructure:"service_attributes"`
}

// maxContrastAttributes bounds what a trace costs.
const maxContrastAttributes = 16

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*PebbleConfig)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config { return &Config{} }

// Unmarshal sets the defaults, which a map's values cannot have otherwise.
func (c *PebbleConfig) Unmarshal(conf *confmap.Conf) error {
	c.Retention = defaultRetention
	contrast := tracestore.DefaultContrastAttributes()
	c.Contrast = ContrastConfig{EntryAttributes: contrast.Entry, ServiceAttributes: contrast.Services}
	return conf.Unmarshal(c)
}

func (c *ContrastConfig) attributes() tracestore.ContrastAttributes {
	return tracestore.ContrastAttributes{Entry: c.EntryAttributes, Services: c.ServiceAttributes}
}

// validate reports all faults; key is where the section stands.
func (c *ContrastConfig) validate(key string) (errs []error) {
	for _, list := range []struct {
		name       string
		attributes []string
	}{{"entry_attributes", c.EntryAttributes}, {"service_attributes", c.ServiceAttributes}} {
		for i, attribute := range list.attributes {
			switch {
			case attribute == "":
				errs = append(errs, fmt.Errorf("%s::%s: has an empty key; name an attribute", key, list.name))
			case strings.HasPrefix(attribute, conventions.Prefix):
				errs = append(errs, fmt.Errorf("%s::%s: %q is one of Tracewright's own; name one of the senders'", key, list.name, attribute))
			case slices.Contains(list.attributes[:i], attribute):
				errs = append(errs, fmt.Errorf("%s::%s: %q stands twice; name it once", key, list.name, attribute))
			}
		}
	}
	if n := len(c.EntryAttributes) + len(c.ServiceAttributes); n > maxContrastAttributes {
		errs = append(errs, fmt.Errorf("%s: names %d attributes; at most %d are counted", key, n, maxContrastAttributes))
	}
	return errs
}

// Validate reports all faults, one line each.
func (c *Config) Validate() error {
	if len(c.Backends) == 0 {
		return errors.New("backends: names no storage; add one, for example backends: {main: {pebble: {path: ./data}}}")
	}
	var errs []error
	paths := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Backends)) {
		key := "backends::" + name
		pebble := c.Backends[name].Pebble
		if name == "" {
			errs = append(errs, errors.New("backends: a storage has an empty name; name it"))
		}
		if pebble == nil {
			errs = append(errs, fmt.Errorf("%s: has no kind; give it one, for example pebble: {path: ./data}", key))
			continue
		}
		key += "::pebble"
		folder := filepath.Clean(pebble.Path)
		if pebble.Path == "" {
			errs = append(errs, fmt.Errorf("%s::path: is empty; name a folder for the data", key))
		} else if other, taken := paths[folder]; taken {
			errs = append(errs, fmt.Errorf("%s::path: %q is the folder of %s too; give each its own", key, pebble.Path, other))
		}
		paths[folder] = key
		if pebble.Retention < 0 {
			errs = append(errs, fmt.Errorf("%s::retention: %s is negative; use a duration such as 168h, or 0 to keep traces for ever",
				key, pebble.Retention))
		}
		errs = append(errs, pebble.Contrast.validate(key+"::contrast")...)
	}
	return errors.Join(errs...)
}
