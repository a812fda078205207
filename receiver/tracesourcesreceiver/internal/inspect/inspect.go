// Package inspect finds in the configuration of any receiver what is of interest to whoever has to answer for it: addresses, files and
// secrets. It goes by the types of the collector's own sections, and where a receiver has sections of its own by the names of keys.
package inspect

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// Kind is what a text in a configuration is.
type Kind int

const (
	// Other is nothing of interest.
	Other Kind = iota
	// Listen is an address on which the receiver listens.
	Listen
	// Transport is the network of such an address.
	Transport
	// Dial is an address to which it connects.
	Dial
	// File is the name of a file or folder, or a pattern of names.
	File
	// Secret is one.
	Secret
	// Middleware names an extension that stands in the way of requests.
	Middleware
)

// Place is a text in a configuration, not empty but for addresses on which it listens: an empty one is every address, and any port.
type Place struct {
	Kind  Kind
	Path  string // such as protocols.grpc.endpoint
	Value string
	// Set changes it, during the visit.
	Set func(string)
}

// What the collector's own sections are.
var (
	httpServer = reflect.TypeFor[confighttp.ServerConfig]()
	servers    = map[reflect.Type]bool{httpServer: true, reflect.TypeFor[configgrpc.ServerConfig](): true}
	clients    = map[reflect.Type]bool{reflect.TypeFor[confighttp.ClientConfig](): true, reflect.TypeFor[configgrpc.ClientConfig](): true}
	middleware = reflect.TypeFor[configmiddleware.Config]()
	opaque     = reflect.TypeFor[configopaque.String]()
)

// optional begins the name of configoptional.Optional[T].
const optional = "Optional["

// Keys in sections of a receiver's own.
var (
	listenKeys = regexp.MustCompile(`^(endpoint|listen_address|address|bind_address)$`)
	dialKeys   = regexp.MustCompile(`^(brokers?|bootstrap_servers|hosts?|hostname|servers?|urls?|uri|dsn|.+_(endpoint|url|uri|host|hosts|addr|address|addresses|servers?|brokers?))$`)
	fileKeys   = regexp.MustCompile(`^(file|path|directory|folder|include|exclude|.*_(file|files|path|dir|directory))$`)
	urlPaths   = regexp.MustCompile(`_url_path$`)
	// toldToAll are values that a server sends to whoever asks it, and which are no secrets, though the collector's type of them says so.
	toldToAll = regexp.MustCompile(`(^|\.)response_headers\[\d+\]\.value$`)
)

// Walk calls visit with all places in a configuration, a pointer to a struct.
func Walk(configuration any, visit func(*Place)) {
	walker{visit: visit}.value(reflect.ValueOf(configuration), position{})
}

// Sections are those of type T in a configuration, a pointer to a struct. They can be changed.
func Sections[T any](configuration any) (found []*T) {
	walker{
		visit: func(*Place) {},
		each: func(v reflect.Value) {
			if section, ok := v.Addr().Interface().(*T); ok {
				found = append(found, section)
			}
		},
	}.value(reflect.ValueOf(configuration), position{})
	return found
}

type walker struct {
	visit func(*Place)
	each  func(reflect.Value) // is called with structs that can be changed; nil: nobody asks
}

// position is where a value stands.
type position struct {
	path, key string
	// section is the collector's own in which it stands, nil for the receiver's.
	section reflect.Type
	depth   int
}

func (p position) member(key string) position {
	p.key = key
	if p.path != "" {
		key = p.path + "." + key
	}
	p.path = key
	return p
}

// maxDepth is deeper than configurations are that a body of a request can hold.
const maxDepth = 256

func (w walker) value(v reflect.Value, at position) {
	if at.depth++; at.depth > maxDepth {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.value(v.Elem(), at)
		}
	case reflect.Interface:
		if !v.IsNil() {
			v.Set(w.changed(v.Elem(), at))
		}
	case reflect.Struct:
		w.section(v, at)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len()) // others may read v, that of a default
		for iter := v.MapRange(); iter.Next(); {
			c.SetMapIndex(iter.Key(), w.changed(iter.Value(), at.member(fmt.Sprint(iter.Key()))))
		}
		v.Set(c)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			element := at
			element.path = fmt.Sprintf("%s[%d]", at.path, i)
			w.value(v.Index(i), element)
		}
	case reflect.String:
		w.text(v, at)
	}
}

// changed is a value that cannot be changed where it stands, with what the visit changes.
func (w walker) changed(v reflect.Value, at position) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	w.value(c, at)
	return c
}

func (w walker) section(v reflect.Value, at position) {
	switch typ := v.Type(); {
	case strings.HasPrefix(typ.Name(), optional):
		w.value(v.Addr().MethodByName("Get").Call(nil)[0], at) // nil where the section is not there
		return
	case typ == middleware:
		w.visit(&Place{Kind: Middleware, Path: at.path, Value: fmt.Sprint(v.Interface())})
		return
	case servers[typ], clients[typ]:
		at.section = typ
	}
	if w.each != nil {
		w.each(v)
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		switch {
		case !field.IsExported() || key == "-":
		case strings.Contains(options, "squash") || strings.Contains(options, "remain"):
			w.value(v.Field(i), at)
		case key == "":
			w.value(v.Field(i), at.member(strings.ToLower(field.Name)))
		default:
			w.value(v.Field(i), at.member(key))
		}
	}
}

func (w walker) text(v reflect.Value, at position) {
	place := &Place{Kind: kind(v.Type(), at), Path: at.path, Value: v.String(), Set: v.SetString}
	if v.Len() > 0 || place.Kind == Listen {
		w.visit(place)
	}
}

func kind(typ reflect.Type, at position) Kind {
	switch {
	case servers[at.section] && toldToAll.MatchString(at.path):
		return Other
	case typ == opaque || tracesources.IsSecret(at.key):
		return Secret
	case urlPaths.MatchString(at.key):
		return Other
	case fileKeys.MatchString(at.key):
		return File
	case servers[at.section] && at.key == "endpoint":
		return Listen
	case servers[at.section] && at.key == "transport":
		return Transport
	case servers[at.section]:
		return Other
	case clients[at.section] && at.key == "endpoint":
		return Dial
	case listenKeys.MatchString(at.key):
		return Listen
	case dialKeys.MatchString(at.key):
		return Dial
	case at.key == "transport":
		return Transport
	}
	return Other
}
