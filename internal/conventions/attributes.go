package conventions

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// AttributeFaults are what is wrong with attributes whatever they mean, as a set.
type AttributeFaults uint8

// The faults of attributes, which the violations of like names say.
const (
	EmptyKey AttributeFaults = 1 << iota
	DuplicateKey
	OversizeValue
	DeepValue
)

// ReadAttributeFaults finds the faults of attributes. SpanFacts has those of a span's.
func ReadAttributeFaults(attrs pcommon.Map) AttributeFaults {
	if attrs.Len() == 0 {
		return 0
	}
	var (
		found AttributeFaults
		seen  keySet
		again bool
	)
	for key, value := range attrs.All() {
		if key == "" {
			found |= EmptyKey
		}
		again = seen.add(keyHash(key)) || again
		found |= valueFaults(value, value.Type())
	}
	if again && repeatsKey(attrs) {
		found |= DuplicateKey
	}
	return found
}

// keySet tells cheaply that keys are all different: a bit for each hash.
type keySet [8]uint64

// add says whether the bit was set already: by this key, or by another.
func (s *keySet) add(hash uint32) bool {
	word, bit := &s[hash>>16&7], uint64(1)<<(hash>>24&63)
	again := *word&bit != 0
	*word |= bit
	return again
}

// valueFaults are those of a value itself.
func valueFaults(value pcommon.Value, typ pcommon.ValueType) AttributeFaults {
	switch typ {
	case pcommon.ValueTypeStr:
		if len(value.Str()) > MaxAttributeBytes {
			return OversizeValue
		}
	case pcommon.ValueTypeBytes:
		if value.Bytes().Len() > MaxAttributeBytes {
			return OversizeValue
		}
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		var found AttributeFaults
		extent := ExtentOf(value)
		if extent.Depth > MaxNesting {
			found |= DeepValue
		}
		if extent.Bytes > MaxAttributeBytes {
			found |= OversizeValue
		}
		return found
	}
	return 0
}

// fewKeys is how many keys are compared one by one.
const fewKeys = 32

// repeatsKey says whether a key stands more than once.
func repeatsKey(attrs pcommon.Map) bool {
	if attrs.Len() > fewKeys {
		seen := make(map[string]struct{}, attrs.Len())
		for key := range attrs.All() {
			seen[key] = struct{}{}
		}
		return len(seen) < attrs.Len()
	}
	var keys [fewKeys]string
	n := 0
	for key := range attrs.All() {
		if slices.Contains(keys[:n], key) {
			return true
		}
		keys[n] = key
		n++
	}
	return false
}
