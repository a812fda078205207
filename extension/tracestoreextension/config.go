package tracestoreextension

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
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
}

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*PebbleConfig)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config { return &Config{} }

// Unmarshal sets the defaults, which a map's values cannot have otherwise.
func (c *PebbleConfig) Unmarshal(conf *confmap.Conf) error {
	c.Retention = defaultRetention
	return conf.Unmarshal(c)
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
	}
	return errors.Join(errs...)
}
