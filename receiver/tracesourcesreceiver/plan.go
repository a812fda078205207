package tracesourcesreceiver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/receiver"

	"github.com/tracewright/tracewright/internal/recovering"
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/address"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/inspect"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
)

// factories is implemented by the collector's host (hostcapabilities.ComponentFactory).
type factories interface {
	GetFactory(kind component.Kind, typ component.Type) component.Factory
}

// policy is what the operator allows.
type policy struct {
	factories factories
	types     []string
	listen    address.List
	hosts     address.List
	secrets   secretsDir
}

func newPolicy(config *Config, f factories) (*policy, error) {
	p := &policy{factories: f, types: config.AllowedTypes, secrets: secretsDir(config.SecretsDir)}
	var err error
	if p.listen, err = address.ParseList(config.AllowedListen, address.Listen); err != nil {
		return nil, fmt.Errorf("allowed_listen: %w", err)
	}
	if p.hosts, err = address.ParseList(config.AllowedHosts, address.Dial); err != nil {
		return nil, fmt.Errorf("allowed_hosts: %w", err)
	}
	return p, nil
}

// plan is a source whose configuration was found right. It is used once: receivers may change their configuration.
type plan struct {
	source  tracesources.Source
	factory receiver.Factory
	config  component.Config
	// listens are the addresses on which it will listen.
	listens []address.Address
	// secrets are those in config.
	secrets *resolved
}

// maxRequestBody is the largest request over HTTP, unpacked, of a source that names none. Values nested deeply enough in larger ones
// overflow the stack where they are decoded.
const maxRequestBody = 8 << 20

// compressions are those of requests over HTTP to a source that names none: the collector's but for zstd, of which some bytes can ask for
// 512 MiB.
var compressions = []string{"", "gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4"}

func invalid(field, format string, args ...any) *tracesources.Refusal {
	return &tracesources.Refusal{Kind: tracesources.Invalid, Field: field, Detail: fmt.Sprintf(format, args...)}
}

func forbidden(field, format string, args ...any) *tracesources.Refusal {
	return &tracesources.Refusal{Kind: tracesources.Forbidden, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// plan checks a source. Its error is a *tracesources.Refusal.
func (p *policy) plan(source *tracesources.Source) (made *plan, err error) {
	if faults := source.Validate(); len(faults) > 0 {
		return nil, &faults[0]
	}
	factory, refusal := p.factory(source.Type)
	if refusal != nil {
		return nil, refusal
	}
	secrets, refusal := p.secrets.resolve(source.Configuration)
	if refusal != nil {
		return nil, refusal
	}
	defer func() {
		// A configuration that nobody has thought of is no reason to end.
		if r := recover(); r != nil {
			made, err = nil, invalid("configuration", "receiver %s cannot read it: %s", source.Type, readable(secrets.redact(fmt.Sprint(r))))
		}
	}()
	made = &plan{source: *source, factory: factory, config: factory.CreateDefaultConfig(), secrets: secrets}
	given := confmap.NewFromStringMap(secrets.configuration)
	if err := given.Unmarshal(made.config); err != nil {
		return nil, invalid("configuration", "%s", readable(err.Error()))
	}
	if unknown := inspect.UnknownKeys(made.config, given.ToStringMap()); len(unknown) > 0 {
		return nil, invalid("configuration."+unknown[0], "receiver %s has no such key", source.Type)
	}
	if refusal := p.check(made); refusal != nil {
		return nil, refusal
	}
	if err := confmap.Validate(made.config); err != nil {
		return nil, invalid("configuration", "%s", readable(err.Error()))
	}
	// Nothing above can have told of them.
	secrets.put(made.config)
	for _, server := range inspect.Sections[configgrpc.ServerConfig](made.config) {
		recovering.Guard(server)
	}
	return made, nil
}

// readable puts the text of an error on one line, without the words that every error of mapstructure begins with.
func readable(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "* \t")
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" || line == "decoding failed due to the following error(s):" })
	return strings.Join(lines, "; ")
}

func (p *policy) factory(name string) (receiver.Factory, *tracesources.Refusal) {
	typ, err := component.NewType(name)
	if err != nil {
		return nil, invalid("type", "must be the type of a receiver, such as otlp")
	}
	factory, known := p.factories.GetFactory(component.KindReceiver, typ).(receiver.Factory)
	switch {
	case !known || factory == nil || typ == metadata.Type:
		return nil, invalid("type", "there is no receiver %q here; allowed are %s", name, strings.Join(p.available(), ", "))
	case factory.TracesStability() == component.StabilityLevelUndefined:
		return nil, invalid("type", "receiver %q takes no traces; allowed are %s", name, strings.Join(p.available(), ", "))
	case !slices.Contains(p.types, name):
		return nil, forbidden("type", "%q is not among allowed_types of trace_sources, which are %s", name, strings.Join(p.types, ", "))
	}
	return factory, nil
}

// available are the allowed types that this binary has.
func (p *policy) available() []string {
	return slices.DeleteFunc(slices.Clone(p.types), func(name string) bool {
		typ, err := component.NewType(name)
		return err != nil || p.factories.GetFactory(component.KindReceiver, typ) == nil
	})
}

// check holds the configuration against what is allowed, and writes into it where files are.
func (p *policy) check(made *plan) (refusal *tracesources.Refusal) {
	given := maps.Clone(made.secrets.secrets)
	inspect.Walk(made.config, func(place *inspect.Place) {
		if refusal == nil {
			refusal = p.checkPlace(made, place)
		}
		if place.Kind == inspect.Secret {
			delete(given, place.Value)
		}
	})
	if refusal != nil {
		return refusal
	}
	for _, secret := range given {
		return noPlace(secret.path)
	}
	for _, server := range inspect.Sections[confighttp.ServerConfig](made.config) {
		if server.MaxRequestBodySize <= 0 {
			server.MaxRequestBodySize = maxRequestBody
		}
		if server.CompressionAlgorithms == nil {
			server.CompressionAlgorithms = slices.Clone(compressions)
		}
	}
	return nil
}

func noPlace(path string) *tracesources.Refusal {
	return invalid("configuration."+path, "is no place for a secret")
}

func (p *policy) checkPlace(made *plan, place *inspect.Place) *tracesources.Refusal {
	field := "configuration." + place.Path
	_, secret := made.secrets.secrets[place.Value]
	if secret && place.Kind != inspect.Secret {
		return noPlace(place.Path)
	}
	if connectsUnnamed(&made.source, place) {
		return forbidden(field, "a source of type %s may not be %s: it connects to a host that allowed_hosts does not hear of", made.source.Type, place.Value)
	}
	switch place.Kind {
	case inspect.Listen:
		at, err := listens(&made.source, place)
		switch {
		case err != nil:
			return invalid(field, "%q %s", place.Value, err)
		case !p.listen.Allows(at):
			return forbidden(field, "%s, where it would listen, is not among allowed_listen of trace_sources (%s)", at, p.listen.String())
		}
		made.listens = append(made.listens, at)
	case inspect.Transport:
		if !strings.HasPrefix(place.Value, "tcp") && !strings.HasPrefix(place.Value, "udp") {
			return forbidden(field, "a source listens on tcp or udp, not on %s", place.Value)
		}
	case inspect.Dial:
		at, err := address.Parse(place.Value)
		switch {
		case err != nil:
			return invalid(field, "%q %s", place.Value, err)
		case !p.hosts.Allows(at):
			return forbidden(field, "%s is not among allowed_hosts of trace_sources (%s)", place.Value, p.hosts.String())
		}
	case inspect.File:
		file, err := p.secrets.file(place.Value)
		if err != nil {
			return invalid(field, "%s", err)
		}
		place.Set(file)
	case inspect.Secret:
		if !secret {
			return invalid(field, "a secret is not written here; put it into a file below secrets_dir and write {\"secret\": NAME} for it")
		}
	case inspect.Middleware:
		return invalid(field, "a source has no middlewares: its spans are decoded, to be counted and labelled")
	case inspect.Other:
	}
	return nil
}

// loopback finds an address on which others reach it.
func (made *plan) exposed() *address.Address {
	for i := range made.listens {
		if !made.listens[i].Loopback() {
			return &made.listens[i]
		}
	}
	return nil
}

// meets says whether two sources listen on one port.
func meets(a, b []address.Address) bool {
	return slices.ContainsFunc(a, func(one address.Address) bool {
		return one.Port != 0 && slices.ContainsFunc(b, func(other address.Address) bool { return one.Port == other.Port })
	})
}

// build makes the receiver.
func (made *plan) build(ctx context.Context, set receiver.Settings, next *intake) (r receiver.Traces, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("receiver %s panicked: %v", made.source.Type, panicked)
		}
	}()
	return made.factory.CreateTraces(ctx, set, made.config, next)
}
