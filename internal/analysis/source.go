package analysis

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// source is what a resource and one of its scopes say of all their spans.
type source struct {
	service string // the name that aggregates use
	renamed bool   // it is not the one that the resource names
	origin  conventions.Origin
	faults  faults
}

// sources remembers them: the releases of a call share resources, and a trace has spans of many.
type sources struct {
	index map[sourceKey]int32 // places in list
	list  []source
	last  sourceKey // spans of one resource mostly stand together
	at    int32     // of the last
}

type sourceKey struct {
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
}

// maxSources bounds what is remembered of an analyzer that nobody resets.
const maxSources = 10_000

// start makes room for the sources of a release.
func (s *sources) start() {
	if len(s.list) > maxSources {
		s.reset()
	}
}

// of is the place in list of a span's source. It holds until the next start.
func (s *sources) of(span *tracetree.Span) int32 {
	key := sourceKey{span.Resource, span.Scope}
	if len(s.list) > 0 && key == s.last {
		return s.at
	}
	at, ok := s.index[key]
	if !ok {
		if s.index == nil {
			s.index = make(map[sourceKey]int32)
		}
		at = int32(len(s.list))
		s.list = append(s.list, readSource(key))
		s.index[key] = at
	}
	s.last, s.at = key, at
	return at
}

func (s *sources) reset() {
	clear(s.index)
	clear(s.list)
	s.list, s.last = s.list[:0], sourceKey{}
}

func readSource(key sourceKey) source {
	given := conventions.ServiceName(key.resource)
	service := conventions.Service(key.resource)
	return source{
		service: service,
		renamed: service != given || given == conventions.UnknownService &&
			conventions.Str(key.resource.Attributes(), string(semconv.ServiceNameKey)) != given,
		origin: conventions.ReadOrigin(service, key.scope.Name()),
		faults: resourceFaults(key.resource) | attributeFaults(conventions.ReadAttributeFaults(key.scope.Attributes())),
	}
}
