package analysis

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// source is what a resource and one of its scopes say of all their spans.
type source struct {
	resourceRead
	origin conventions.Origin
}

// resourceRead is what a resource says of the spans of all its scopes. Of a source the faults are the scope's too.
type resourceRead struct {
	service string // the name that aggregates use
	renamed bool   // it is not the one that the resource names
	faults  faults
}

// sources remembers them: the releases of a call share resources, and a trace has spans of many.
type sources struct {
	index map[sourceKey]int32 // places in list
	list  []source
	// A request may hold a resource of many attributes, and as many scopes below it: to read the resource with each takes minutes.
	resources map[pcommon.Resource]resourceRead
	last      sourceKey // spans of one resource mostly stand together
	at        int32     // of the last
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
			s.index, s.resources = make(map[sourceKey]int32), make(map[pcommon.Resource]resourceRead)
		}
		at = int32(len(s.list))
		s.list = append(s.list, s.read(key))
		s.index[key] = at
	}
	s.last, s.at = key, at
	return at
}

func (s *sources) reset() {
	clear(s.index)
	clear(s.resources)
	clear(s.list)
	s.list, s.last = s.list[:0], sourceKey{}
}

func (s *sources) read(key sourceKey) source {
	resource, ok := s.resources[key.resource]
	if !ok {
		resource = readResource(key.resource)
		s.resources[key.resource] = resource
	}
	resource.faults |= attributeFaults(conventions.ReadAttributeFaults(key.scope.Attributes()))
	return source{resource, conventions.ReadOrigin(resource.service, key.scope.Name())}
}

func readResource(resource pcommon.Resource) resourceRead {
	given := conventions.ServiceName(resource)
	service := conventions.Service(resource)
	return resourceRead{
		service: service,
		renamed: service != given || given == conventions.UnknownService &&
			conventions.Str(resource.Attributes(), string(semconv.ServiceNameKey)) != given,
		faults: resourceFaults(resource),
	}
}
