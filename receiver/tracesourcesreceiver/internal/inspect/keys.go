package inspect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// UnknownKeys are the places of keys in given which the type of a configuration, a pointer to a struct, does not have, in order. It looks at
// sections that are, or have taken in, an HTTP server of the collector's: those pass over keys that they do not know, and all others complain.
func UnknownKeys(configuration any, given map[string]any) (paths []string) {
	unknown(reflect.TypeOf(configuration), given, "", &paths)
	slices.Sort(paths)
	return paths
}

func unknown(typ reflect.Type, given any, path string, found *[]string) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Struct:
		if strings.HasPrefix(typ.Name(), optional) {
			if get, ok := reflect.PointerTo(typ).MethodByName("Get"); ok {
				unknown(get.Type.Out(0), given, path, found)
			}
			return
		}
		section, ok := given.(map[string]any)
		if !ok {
			return
		}
		k := keys{types: make(map[string]reflect.Type)}
		k.collect(typ)
		for key, value := range section {
			at := strings.TrimPrefix(path+"."+key, ".")
			if member, known := k.types[key]; known {
				unknown(member, value, at, found)
			} else if k.server && !k.open {
				*found = append(*found, at)
			}
		}
	case reflect.Map:
		if section, ok := given.(map[string]any); ok {
			for key, value := range section {
				unknown(typ.Elem(), value, strings.TrimPrefix(path+"."+key, "."), found)
			}
		}
	case reflect.Slice:
		if list, ok := given.([]any); ok {
			for i, value := range list {
				unknown(typ.Elem(), value, fmt.Sprintf("%s[%d]", path, i), found)
			}
		}
	}
}

// keys are those of a section.
type keys struct {
	types  map[string]reflect.Type
	open   bool // it takes any
	server bool // it is, or has taken in, an HTTP server
}

func (k *keys) collect(typ reflect.Type) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	k.server = k.server || typ == httpServer
	if typ.Kind() != reflect.Struct {
		return
	}
	for i := range typ.NumField() {
		field := typ.Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		switch {
		case !field.IsExported() || key == "-":
		case strings.Contains(options, "remain"):
			k.open = true
		case strings.Contains(options, "squash"):
			k.collect(field.Type)
		case key == "":
			k.types[strings.ToLower(field.Name)] = field.Type
		default:
			k.types[key] = field.Type
		}
	}
}
