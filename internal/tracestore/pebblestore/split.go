package pebblestore

import (
	"encoding/binary"
	"errors"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// A call is marshalled once, and its releases are cut out of the bytes: copying spans in pdata into one ptrace.Traces for each
// trace, or marshalling resources again for each, would cost more than everything else that a write does. The call is
// walked in pdata and on the wire side by side, so that no span is parsed.
//
//	TracesData     1: ResourceSpans …
//	ResourceSpans  1: Resource       2: ScopeSpans …   3: schema URL
//	ScopeSpans     1: Scope          2: Span …         3: schema URL

const fieldSpans = 2 // of ResourceSpans: scope spans; of ScopeSpans: spans

var errWire = errors.New("marshalled spans cannot be read back")

// piece is some of the spans of a release that stand together in one ScopeSpans: their fields, tags included.
type piece struct {
	resource, scope int // of the call
	spans           [][]byte
	size            int
}

// envelope is the fields of a message besides its spans.
type envelope struct{ before, after []byte }

func (e *envelope) size() int { return len(e.before) + len(e.after) }

// splitter cuts one call.
type splitter struct {
	resources []envelope
	scopes    []envelope
	releases  [][]piece // by release
}

type traceKey struct {
	tenant string
	id     pcommon.TraceID
}

// split cuts wire, which is td marshalled, into releases as tracetree.Releases lists them.
func split(td ptrace.Traces, wire []byte, releases []tracetree.Release) (*splitter, error) {
	index := make(map[traceKey]int, len(releases))
	for i := range releases {
		index[traceKey{releases[i].Tenant, releases[i].TraceID}] = i
	}
	s := &splitter{releases: make([][]piece, len(releases))}
	for _, rs := range td.ResourceSpans().All() {
		body, rest, err := nextMessage(wire)
		if err != nil {
			return nil, err
		}
		wire = rest
		tenant := ""
		if v, ok := rs.Resource().Attributes().Get(conventions.AttrTenant); ok && v.Type() == pcommon.ValueTypeStr {
			tenant = v.Str()
		}
		if err := s.resource(rs, body, tenant, index); err != nil {
			return nil, err
		}
	}
	if len(wire) != 0 {
		return nil, errWire
	}
	return s, nil
}

func (s *splitter) resource(rs ptrace.ResourceSpans, body []byte, tenant string, index map[traceKey]int) error {
	scopes, env, err := unwrap(body)
	if err != nil || len(scopes) != rs.ScopeSpans().Len() {
		return errWire
	}
	s.resources = append(s.resources, env)
	for i, ss := range rs.ScopeSpans().All() {
		body, _, err := nextMessage(scopes[i])
		if err != nil {
			return err
		}
		spans, env, err := unwrap(body)
		if err != nil || len(spans) != ss.Spans().Len() {
			return errWire
		}
		s.scopes = append(s.scopes, env)
		last, lastID := -1, pcommon.TraceID{}
		for j, span := range ss.Spans().All() {
			if id := span.TraceID(); last < 0 || id != lastID {
				at, ok := index[traceKey{tenant, id}]
				if !ok {
					return errWire
				}
				last, lastID = at, id
			}
			s.add(last, spans[j])
		}
	}
	return nil
}

// add appends a span of the current scope to a release.
func (s *splitter) add(release int, span []byte) {
	pieces := s.releases[release]
	resource, scope := len(s.resources)-1, len(s.scopes)-1
	if n := len(pieces); n == 0 || pieces[n-1].scope != scope {
		pieces = append(pieces, piece{resource: resource, scope: scope})
	}
	p := &pieces[len(pieces)-1]
	p.spans = append(p.spans, span)
	p.size += len(span)
	s.releases[release] = pieces
}

// appendRelease appends the release as marshalled OTLP TracesData.
func (s *splitter) appendRelease(buf []byte, release int) []byte {
	pieces := s.releases[release]
	for len(pieces) > 0 {
		// The pieces of one resource stand together.
		n, size := 0, s.resources[pieces[0].resource].size()
		for n < len(pieces) && pieces[n].resource == pieces[0].resource {
			size += fieldSize(s.scopeSize(&pieces[n]))
			n++
		}
		env := &s.resources[pieces[0].resource]
		buf = appendHeader(buf, 1, size)
		buf = append(buf, env.before...)
		for i := range pieces[:n] {
			p := &pieces[i]
			scope := &s.scopes[p.scope]
			buf = appendHeader(buf, fieldSpans, s.scopeSize(p))
			buf = append(buf, scope.before...)
			for _, span := range p.spans {
				buf = append(buf, span...)
			}
			buf = append(buf, scope.after...)
		}
		buf = append(buf, env.after...)
		pieces = pieces[n:]
	}
	return buf
}

func (s *splitter) scopeSize(p *piece) int { return s.scopes[p.scope].size() + p.size }

// unwrap parts a message into its repeated field fieldSpans, each with its tag, and the rest.
func unwrap(body []byte) (list [][]byte, env envelope, err error) {
	seen := false
	for len(body) > 0 {
		field, rest, number, err := nextField(body)
		if err != nil {
			return nil, envelope{}, err
		}
		switch {
		case number == fieldSpans:
			list = append(list, field)
			seen = true
		case seen:
			env.after = append(env.after, field...)
		default:
			env.before = append(env.before, field...)
		}
		body = rest
	}
	return list, env, nil
}

// nextMessage takes one field off and returns what it holds.
func nextMessage(buf []byte) (body, rest []byte, err error) {
	field, rest, _, err := nextField(buf)
	if err != nil {
		return nil, nil, err
	}
	_, tag := binary.Uvarint(field)
	_, length := binary.Uvarint(field[tag:])
	return field[tag+length:], rest, nil
}

// nextField takes one length-delimited field, tag and length included, off the front of a message. The messages that hold
// spans have no others.
func nextField(buf []byte) (field, rest []byte, number int, err error) {
	tag, n := binary.Uvarint(buf)
	if n <= 0 || tag&7 != 2 {
		return nil, nil, 0, errWire
	}
	size, m := binary.Uvarint(buf[n:])
	if m <= 0 || size > uint64(len(buf)-n-m) {
		return nil, nil, 0, errWire
	}
	end := n + m + int(size)
	return buf[:end], buf[end:], int(tag >> 3), nil
}

func appendHeader(buf []byte, number, size int) []byte {
	buf = append(buf, byte(number<<3|2))
	return binary.AppendUvarint(buf, uint64(size))
}

// fieldSize is the size of a field of body bytes with its tag.
func fieldSize(body int) int {
	n := 2
	for rest := uint64(body) >> 7; rest > 0; rest >>= 7 {
		n++
	}
	return n + body
}
