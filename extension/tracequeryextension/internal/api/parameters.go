package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// bindParameters reads the query of the URL into target, a pointer to a struct with a pointer for each known parameter. Each may
// stand once, and nothing else may stand there. All faults are reported.
func bindParameters(r *http.Request, target any) []fault {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return []fault{{Detail: "the query of the URL cannot be read: " + err.Error()}}
	}
	v := reflect.ValueOf(target).Elem()
	known := make([]string, v.NumField())
	for i := range known {
		known[i] = tagName(v.Type().Field(i), "form")
	}
	var faults []fault
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given, at := values[name], slices.Index(known, name)
		switch {
		case at < 0 && len(known) == 0:
			faults = append(faults, fault{name, "unknown query parameter; this endpoint takes none"})
		case at < 0:
			faults = append(faults, fault{name, "unknown query parameter; known: " + strings.Join(known, ", ")})
		case len(given) > 1:
			faults = append(faults, fault{name, "stands more than once"})
		default:
			if detail := bindParameter(v.Field(at), given[0]); detail != "" {
				faults = append(faults, fault{name, detail})
			}
		}
	}
	return faults
}

// bindParameter sets a pointer to text, to a number or to a truth value; it returns what is wrong.
func bindParameter(v reflect.Value, text string) string {
	if !utf8.ValidString(text) {
		return "must be UTF-8"
	}
	v.Set(reflect.New(v.Type().Elem()))
	v = v.Elem()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return ""
	case reflect.Bool:
		if text != "true" && text != "false" {
			return "must be true or false"
		}
		v.SetBool(text == "true")
		return ""
	}
	if err := setScalar(v, json.Number(text)); err != nil {
		return err.Error()
	}
	return ""
}
