package tracesources

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxLabels     = 32
	maxLabelBytes = 256
	maxSpansRate  = 1_000_000_000
	// maxTenantBytes is that of package tenant.
	maxTenantBytes = 256
	// annotations is the prefix of attributes that only Tracewright writes.
	annotations = "tracewright."
)

// NamePattern is what names are like, typePattern types.
const (
	NamePattern = "^[a-z0-9][a-z0-9_-]{0,62}$"
	typePattern = "^[a-zA-Z][0-9a-zA-Z_]{0,62}$"
)

var (
	name     = regexp.MustCompile(NamePattern)
	typeName = regexp.MustCompile(typePattern)
)

// Validate finds what is wrong with a source, as far as that does not depend on where it runs.
func (s *Source) Validate() (faults []Refusal) {
	fault := func(field, format string, args ...any) {
		faults = append(faults, Refusal{Kind: Invalid, Field: field, Detail: fmt.Sprintf(format, args...)})
	}
	if !name.MatchString(s.Name) {
		fault("name", "must be 1 to 63 small letters, digits, dashes and underscores, the first a letter or digit")
	}
	if !typeName.MatchString(s.Type) {
		fault("type", "must be the type of a receiver, such as otlp")
	}
	if field, ok := unexpanded("configuration", s.Configuration); ok {
		fault(field, "${…} is not replaced here; give the value itself, and for a secret {\"secret\": NAME}")
	}
	if len(s.Labels) > maxLabels {
		fault("labels", "are %d; at most %d are added", len(s.Labels), maxLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		field, value := "labels."+key, s.Labels[key]
		switch {
		case key == "" || len(key) > maxLabelBytes || len(value) > maxLabelBytes || !utf8.ValidString(key) || !utf8.ValidString(value):
			fault(field, "key and value must be UTF-8 of at most %d bytes, and the key not empty", maxLabelBytes)
		case strings.HasPrefix(key, annotations):
			fault(field, "begins with %s, which only Tracewright writes", annotations)
		case strings.Contains(value, "${"):
			fault(field, "${…} is not replaced here; give the value itself")
		}
	}
	if n := s.Limits.SpansPerSecond; n < 0 || n > maxSpansRate {
		fault("limits.spans_per_second", "must be between 1 and %d; leave it out for no limit", maxSpansRate)
	}
	if len(s.Tenant) > maxTenantBytes || !utf8.ValidString(s.Tenant) {
		fault("tenant", "must be UTF-8 of at most %d bytes", maxTenantBytes)
	}
	return faults
}

// unexpanded finds a text, or a key, that looks as if it were to be replaced.
func unexpanded(path string, value any) (field string, found bool) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if strings.Contains(key, "${") {
				return path + "." + key, true
			}
			if field, found := unexpanded(path+"."+key, v[key]); found {
				return field, true
			}
		}
	case []any:
		for i, inner := range v {
			if field, found := unexpanded(fmt.Sprintf("%s[%d]", path, i), inner); found {
				return field, true
			}
		}
	case string:
		return path, strings.Contains(v, "${")
	}
	return "", false
}
