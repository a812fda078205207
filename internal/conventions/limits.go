package conventions

import (
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// What is usual in a span. What is above is kept and marked with a violation.
const (
	// MaxAttributeBytes is the size of one attribute's value: its text or bytes, those of a nested value together.
	MaxAttributeBytes = 64 << 10
	// MaxNesting is how deep the arrays and maps of one value are nested.
	MaxNesting = 64
	// FutureStart is how long after its release a span may begin, by clocks that are off.
	FutureStart = time.Hour
	// MaxLinks is the number of links of a span.
	MaxLinks = 1000
)

// Flags of spans and links: the lowest eight bits are those of W3C Trace Context Level 2, the others OTLP's.
const (
	FlagSampled = 0x01
	FlagRandom  = 0x02 // the trace id is
	// FlagRemoteKnown says that FlagRemote says whether the parent, or the link, is in another process.
	FlagRemoteKnown = 0x100
	FlagRemote      = 0x200
	KnownFlags      = FlagSampled | FlagRandom | FlagRemoteKnown | FlagRemote
)

// MaxNameBytes is how much of a name aggregates and annotations use. An entry's name stands on every span of its trace, and a
// caller's on every span that it calls: a name of a megabyte would make a trace of gigabytes.
const MaxNameBytes = 256

// ShortName is the name, or as many of its first bytes as MaxNameBytes allows, cut between characters.
func ShortName(name string) string {
	if len(name) <= MaxNameBytes {
		return name
	}
	end := MaxNameBytes
	for end > MaxNameBytes-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return strings.Clone(name[:end]) // the rest need not stay in memory
}

// Extent is how large an attribute's value is.
type Extent struct {
	// Depth is how deep arrays and maps are nested: 0 for a plain value, 1 for an array of plain values.
	Depth int
	// Values is the number of values inside of arrays and maps.
	Values int
	// Bytes are those of texts, bytes and the keys of maps.
	Bytes int
}

// nestedValue is an array or a map that is yet to be looked into.
type nestedValue struct {
	value pcommon.Value
	depth int
}

// ExtentOf measures a value, however deep it is nested.
func ExtentOf(value pcommon.Value) Extent {
	var e Extent
	var few [4]nestedValue // an array of plain values costs no memory
	todo := few[:0]
	look := func(v pcommon.Value, depth int) {
		switch v.Type() {
		case pcommon.ValueTypeStr:
			e.Bytes += len(v.Str())
		case pcommon.ValueTypeBytes:
			e.Bytes += v.Bytes().Len()
		case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
			e.Depth = max(e.Depth, depth)
			todo = append(todo, nestedValue{v, depth})
		}
	}
	look(value, 1)
	for len(todo) > 0 {
		last := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if last.value.Type() == pcommon.ValueTypeMap {
			for key, v := range last.value.Map().All() {
				e.Values++
				e.Bytes += len(key)
				look(v, last.depth+1)
			}
			continue
		}
		for _, v := range last.value.Slice().All() {
			e.Values++
			look(v, last.depth+1)
		}
	}
	return e
}
