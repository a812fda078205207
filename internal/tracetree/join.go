package tracetree

import (
	"encoding/binary"
	"math"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Join puts the stored releases of one trace together again. They are given in the order of version, part and time of
// writing. It takes the releases: their spans are moved, not copied, into one ptrace.Traces, which is the caller's, grouped by
// resource and scope in the order in which these first occur. Of spans with the same id, kind, start and end only the first is
// kept.
//
// The Release refers into the result and is Joined. Its Version is the highest, its Outcome that of the last release that is not
// late ("late" if there are only fragments, empty if no trace_assembly made them), its Part 0. ReleasedAt is the latest and
// stands on every resource, so that equal resources of different releases become one.
func Join(releases []ptrace.Traces) (ptrace.Traces, Release) {
	j := joiner{td: ptrace.NewTraces(), seen: make(map[spanKey]struct{})}
	release := Release{Joined: true}
	for _, td := range releases {
		joinAssembly(&release.Assembly, releaseAssembly(td))
		for _, rs := range td.ResourceSpans().All() {
			release.ReleasedAt = max(release.ReleasedAt, conventions.Int(rs.Resource().Attributes(), conventions.AttrReleasedAt))
		}
	}
	for _, td := range releases {
		for _, rs := range td.ResourceSpans().All() {
			if release.ReleasedAt != 0 {
				rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, release.ReleasedAt)
			}
			j.add(rs)
		}
	}
	for _, rs := range j.td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				release.Spans = append(release.Spans,
					Span{Span: span, Resource: rs.Resource(), Scope: ss.Scope(), SchemaURL: rs.SchemaUrl()})
			}
		}
	}
	if len(release.Spans) > 0 {
		first := release.Spans[0]
		release.TraceID = first.TraceID()
		release.Tenant = conventions.Str(first.Resource.Attributes(), conventions.AttrTenant)
	}
	return j.td, release
}

// joinAssembly adds what assembly said of the next release.
func joinAssembly(joined *Assembly, next Assembly) {
	joined.Version = max(joined.Version, next.Version)
	if next.Outcome != "" && (next.Outcome != conventions.OutcomeLate || joined.Outcome == "") {
		joined.Outcome = next.Outcome
	}
}

// releaseAssembly is what assembly wrote on one of the release's spans.
func releaseAssembly(td ptrace.Traces) Assembly {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if a := ReadAssembly(Span{Span: span}); a.Version != 0 {
					return a
				}
			}
		}
	}
	return Assembly{}
}

type spanKey struct {
	id         pcommon.SpanID
	kind       ptrace.SpanKind
	start, end pcommon.Timestamp
}

// group is a resource of the result, with the places of its scopes by their hash.
type group struct {
	rs     ptrace.ResourceSpans
	scopes map[uint64][]ptrace.ScopeSpans
}

type joiner struct {
	td     ptrace.Traces
	seen   map[spanKey]struct{}
	groups map[uint64][]*group
}

// maxCandidates bounds how many resources (or scopes) of one hash are compared. Hashes leave nested values out, and a sender
// may vary nothing else; what is not found among these gets a group of its own.
const maxCandidates = 16

// add moves the spans of rs that were not seen before.
func (j *joiner) add(rs ptrace.ResourceSpans) {
	var g *group
	for _, ss := range rs.ScopeSpans().All() {
		ss.Spans().RemoveIf(j.repeated)
		if ss.Spans().Len() == 0 {
			continue
		}
		if g == nil {
			g = j.group(rs)
		}
		ss.Spans().MoveAndAppendTo(g.scope(ss).Spans())
	}
}

func (j *joiner) repeated(span ptrace.Span) bool {
	k := spanKey{span.SpanID(), KnownKind(span.Kind()), span.StartTimestamp(), span.EndTimestamp()}
	if _, ok := j.seen[k]; ok {
		return true
	}
	j.seen[k] = struct{}{}
	return false
}

// group finds the group of an equal resource, or makes one and moves the resource there.
func (j *joiner) group(rs ptrace.ResourceSpans) *group {
	h := hashAttributes(rs.Resource().Attributes(), rs.SchemaUrl())
	candidates := j.groups[h]
	for _, g := range candidates[:min(len(candidates), maxCandidates)] {
		if g.rs.SchemaUrl() == rs.SchemaUrl() &&
			g.rs.Resource().DroppedAttributesCount() == rs.Resource().DroppedAttributesCount() &&
			g.rs.Resource().Attributes().Equal(rs.Resource().Attributes()) {
			return g
		}
	}
	g := &group{rs: j.td.ResourceSpans().AppendEmpty(), scopes: make(map[uint64][]ptrace.ScopeSpans)}
	rs.Resource().MoveTo(g.rs.Resource())
	g.rs.SetSchemaUrl(rs.SchemaUrl())
	if j.groups == nil {
		j.groups = make(map[uint64][]*group)
	}
	j.groups[h] = append(candidates, g)
	return g
}

// scope does the same for a scope.
func (g *group) scope(ss ptrace.ScopeSpans) ptrace.ScopeSpans {
	scope := ss.Scope()
	h := hashAttributes(scope.Attributes(), scope.Name())
	candidates := g.scopes[h]
	for _, c := range candidates[:min(len(candidates), maxCandidates)] {
		if c.SchemaUrl() == ss.SchemaUrl() && c.Scope().Name() == scope.Name() && c.Scope().Version() == scope.Version() &&
			c.Scope().DroppedAttributesCount() == scope.DroppedAttributesCount() &&
			c.Scope().Attributes().Equal(scope.Attributes()) {
			return c
		}
	}
	c := g.rs.ScopeSpans().AppendEmpty()
	scope.MoveTo(c.Scope())
	c.SetSchemaUrl(ss.SchemaUrl())
	g.scopes[h] = append(candidates, c)
	return c
}

// hashAttributes is equal for maps that pcommon.Map.Equal finds equal, in whatever order; of bytes and nested values it takes
// only the key.
func hashAttributes(attrs pcommon.Map, name string) uint64 {
	sum := xxhash.Sum64String(name)
	for key, value := range attrs.All() {
		h := xxhash.Sum64String(key)
		var v uint64
		switch value.Type() {
		case pcommon.ValueTypeStr:
			v = xxhash.Sum64String(value.Str())
		case pcommon.ValueTypeInt:
			v = uint64(value.Int())
		case pcommon.ValueTypeDouble:
			v = math.Float64bits(value.Double() + 0) // -0 equals 0
		case pcommon.ValueTypeBool:
			if value.Bool() {
				v = 1
			}
		}
		var pair [16]byte
		binary.LittleEndian.PutUint64(pair[:8], h)
		binary.LittleEndian.PutUint64(pair[8:], v)
		sum += xxhash.Sum64(pair[:])
	}
	return sum
}
