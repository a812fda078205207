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
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// defaultRetention keeps a week.
const defaultRetention = 168 * time.Hour

// Config is the extension's configuration.
type Config struct {
	// Backends are the storages by name. Exporters and the query extension choose them by these names. At least one.
	Backends map[string]BackendConfig `mapstructure:"backends"`
}

// BackendConfig is one storage. Exactly one kind is given.
type BackendConfig struct {
	// Pebble is the embedded storage in a folder.
	Pebble *PebbleConfig `mapstructure:"pebble"`
	// Neo4j is a map of services that the service_map exporter writes. It holds no traces.
	Neo4j *neo4jmap.ClientConfig `mapstructure:"neo4j"`
	// ClickHouse is a database server, or several.
	ClickHouse *ClickHouseConfig `mapstructure:"clickhouse"`
}

// kinds are the sections that a storage has.
func (c *BackendConfig) kinds() (names []string) {
	for _, kind := range []struct {
		name  string
		given bool
	}{{"pebble", c.Pebble != nil}, {"clickhouse", c.ClickHouse != nil}, {"neo4j", c.Neo4j != nil}} {
		if kind.given {
			names = append(names, kind.name)
		}
	}
	return names
}

// PebbleConfig is an embedded storage.
type PebbleConfig struct {
	// Path is the folder that holds the data. It is made where it does not exist. One process uses it at a time. Required.
	Path string `mapstructure:"path"`
	// Retention is which traces are kept, and how long. A duration alone is its age.
	Retention RetentionConfig `mapstructure:"retention"`
	// Contrast are the attributes by which traces are told apart in sums over many.
	Contrast ContrastConfig `mapstructure:"contrast"`
}

// RetentionConfig is which traces are kept, and how long, counted from their release.
type RetentionConfig struct {
	// Age is how long traces are kept. They are dropped by whole days (UTC), so at most a day later. 0 keeps them for ever.
	// Default 168h.
	Age time.Duration `mapstructure:"age"`
	// MaxBytes is about how large the folder may become; above it the oldest traces are dropped. 0 is no bound, the default.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// KeepAll is how long every trace is kept; of whole days (UTC) behind it only those that Keep names. 0 keeps all for Age, the
	// default.
	KeepAll time.Duration `mapstructure:"keep_all"`
	// Keep says what is kept behind KeepAll, besides the traces with a span that failed.
	Keep KeepConfig `mapstructure:"keep"`
}

// KeepConfig is which traces without a failure are worth keeping.
type KeepConfig struct {
	// Slowest is the share of each entry's traces that is kept because they took longest, 0 to 1. Default 0.05.
	Slowest float64 `mapstructure:"slowest"`
	// Share is the share of the rest that is kept, 0 to 1. Default 0.1.
	Share float64 `mapstructure:"share"`
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
	c.Retention = RetentionConfig{Age: defaultRetention, Keep: KeepConfig{Slowest: 0.05, Share: 0.1}}
	contrast := tracestore.DefaultContrastAttributes()
	c.Contrast = ContrastConfig{EntryAttributes: contrast.Entry, ServiceAttributes: contrast.Services}
	if age := conf.Get("retention"); age != nil {
		if _, section := age.(map[string]any); !section {
			conf = confmap.NewFromStringMap(conf.ToStringMap())
			conf.Delete("retention")
			if err := conf.Merge(confmap.NewFromStringMap(map[string]any{"retention": map[string]any{"age": age}})); err != nil {
				return err
			}
		}
	}
	return conf.Unmarshal(c)
}

// validate reports all faults; key is where the section stands.
func (c *RetentionConfig) validate(key string) (errs []error) {
	if c.Age < 0 {
		errs = append(errs, fmt.Errorf("%s: %s is negative; use a duration such as 168h, or 0 to keep traces for ever", key, c.Age))
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("%s::max_bytes: %d is negative; use a number of bytes, or 0 for no bound", key, c.MaxBytes))
	}
	switch {
	case c.KeepAll < 0:
		errs = append(errs, fmt.Errorf("%s::keep_all: %s is negative; use a duration such as 72h, or 0 to keep all traces as long as any", key, c.KeepAll))
	case c.Age > 0 && c.KeepAll > c.Age:
		errs = append(errs, fmt.Errorf("%s::keep_all: %s is longer than age, %s; make it shorter, or leave it out", key, c.KeepAll, c.Age))
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"slowest", c.Keep.Slowest}, {"share", c.Keep.Share}} {
		if !(share.value >= 0 && share.value <= 1) {
			errs = append(errs, fmt.Errorf("%s::keep::%s: %g is not a share; use a number from 0 to 1", key, share.name, share.value))
		}
	}
	return errs
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

// Validate reports all faults but those of neo4j sections, one line each.
func (c *Config) Validate() error {
	if len(c.Backends) == 0 {
		return errors.New("backends: names no storage; add one, for example backends: {main: {pebble: {path: ./data}}}")
	}
	var errs []error
	paths := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Backends)) {
		key := "backends::" + name
		backend := c.Backends[name]
		if name == "" {
			errs = append(errs, errors.New("backends: a storage has an empty name; name it"))
		}
		switch kinds := backend.kinds(); len(kinds) {
		case 0:
			errs = append(errs, fmt.Errorf("%s: has no kind; give it one, for example pebble: {path: ./data}", key))
		case 1:
		default:
			errs = append(errs, fmt.Errorf("%s: has several kinds, %s; make them a storage each", key, strings.Join(kinds, " and ")))
			continue
		}
		if backend.ClickHouse != nil {
			errs = append(errs, backend.ClickHouse.validate(key+"::clickhouse")...)
		}
		pebble := backend.Pebble
		if pebble == nil {
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
		errs = append(errs, pebble.Retention.validate(key+"::retention")...)
		errs = append(errs, pebble.Contrast.validate(key+"::contrast")...)
	}
	return errors.Join(errs...)
}
