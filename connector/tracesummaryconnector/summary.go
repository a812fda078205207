package tracesummaryconnector

import (
	"cmp"
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// operation is an operation of a service, by the names that aggregates use.
type operation struct{ service, operation string }

// summary is what the annotations of a release say. It refers to the release's spans.
type summary struct {
	*tracetree.Release
	// analysed says whether trace_analysis explained this release. Where it did not, only root, start, duration and counts are
	// known, as the spans themselves tell them.
	analysed bool

	entry operation
	// root is the entry root: the earliest span without a parent, else the earliest whose parent is missing, else the one that speaks for the
	// release; -1 if there is none.
	root            int
	start, duration int64 // Unix nanoseconds, nanoseconds
	spans           int
	services        int
	errors          int
	missingParents  int
	bottleneck      operation
	bottleneckSpan  string // its id, 16 hex digits; empty where there is no bottleneck
	bottleneckShare float64

	// onPath are the spans that hold the critical path, and pathTime is for how long all of them do: the entry root's duration, if the release is
	// whole.
	onPath   []pathSpan
	pathTime int64
	// origins are the spans at which a failure began, the earliest first.
	origins []originSpan
}

type pathSpan struct {
	at        int // in the release's spans
	operation operation
	time      int64 // nanoseconds
}

type originSpan struct {
	at          int
	operation   operation
	fingerprint string
	start       int64
}

// marks are the annotations of one span.
type marks struct {
	entry           operation
	service         string
	operation       string
	pathTime, shift int64
	orphan, origin  bool
	fingerprint     string
	speaks          bool // for the release
}

// text is a name as other services take it: bounded, and UTF-8, for they may refuse all that is sent with one that is not.
func text(name string) string { return strings.ToValidUTF8(conventions.ShortName(name), "\uFFFD") }

func (s *summary) read(release *tracetree.Release) {
	*s = summary{Release: release, root: -1, onPath: s.onPath[:0], origins: s.origins[:0]}
	release.Tenant, release.Outcome = text(release.Tenant), text(release.Outcome)
	rank, rootStart := 0, int64(0)
	speakers, speaker := 0, -1
	for i := range release.Spans {
		span := &release.Spans[i]
		var m marks
		m.read(span.Attributes())
		if m.speaks {
			speakers++
			speaker = i
		}
		if s.entry == (operation{}) {
			s.entry = m.entry
		}
		start := conventions.Nanoseconds(span.StartTimestamp()) + m.shift
		if r := rootRank(span.Span, &m); r > 0 && (r > rank || r == rank && s.earlier(start, i, rootStart)) && !tracetree.MarkedConflict(span.Attributes()) {
			s.root, rank, rootStart = i, r, start
		}
		if m.pathTime > 0 {
			s.onPath = append(s.onPath, pathSpan{i, m.named(span), m.pathTime})
			s.pathTime = sum(s.pathTime, m.pathTime)
		}
		if m.origin {
			s.origins = append(s.origins, originSpan{i, m.named(span), text(m.fingerprint), start})
		}
	}
	slices.SortStableFunc(s.origins, func(a, b originSpan) int {
		return cmp.Or(cmp.Compare(a.start, b.start), compareIDs(&release.Spans[a.at], &release.Spans[b.at]))
	})
	// More than one speaker: what was analysed were parts of this release.
	if s.analysed = speakers == 1; !s.analysed {
		s.guess()
		return
	}
	if s.root < 0 {
		s.root = speaker
	}
	s.readRelease(release.Spans[speaker].Attributes())
}

// sum adds two times of which neither is negative, as far as int64 goes: what a stranger wrote may be anything.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// rootRank says how likely it is that the request came in at the span; 0 if it did not.
func rootRank(span ptrace.Span, m *marks) int {
	switch {
	case span.ParentSpanID().IsEmpty():
		return 2
	case m.orphan:
		return 1
	}
	return 0
}

// earlier says whether a span goes before the root so far.
func (s *summary) earlier(start int64, i int, rootStart int64) bool {
	return cmp.Or(cmp.Compare(start, rootStart), compareIDs(&s.Spans[i], &s.Spans[s.root])) < 0
}

func compareIDs(a, b *tracetree.Span) int {
	x, y := a.SpanID(), b.SpanID()
	return slices.Compare(x[:], y[:])
}

// read walks the attributes once: there are many that are not ours.
func (m *marks) read(attrs pcommon.Map) {
	for key, value := range attrs.All() {
		if !strings.HasPrefix(key, conventions.Prefix) {
			continue
		}
		switch value.Type() {
		case pcommon.ValueTypeStr:
			switch key {
			case conventions.AttrEntryService:
				m.entry.service = text(value.Str())
			case conventions.AttrEntryOperation:
				m.entry.operation = text(value.Str())
			case conventions.AttrService:
				m.service = value.Str()
			case conventions.AttrOperation:
				m.operation = value.Str()
			case conventions.AttrErrorFingerprint:
				m.fingerprint = value.Str()
			}
		case pcommon.ValueTypeInt:
			switch key {
			case conventions.AttrCriticalPathTime:
				m.pathTime = value.Int()
			case conventions.AttrClockSkew:
				m.shift = value.Int()
			case conventions.AttrSpanCount:
				m.speaks = true
			}
		case pcommon.ValueTypeBool:
			switch key {
			case conventions.AttrOrphan:
				m.orphan = value.Bool()
			case conventions.AttrErrorOrigin:
				m.origin = value.Bool()
			}
		}
	}
}

// named is the operation of the span: the annotations', where its own names are not those that aggregates use.
func (m *marks) named(span *tracetree.Span) operation {
	service, name := m.service, m.operation
	if service == "" {
		service = span.Service()
	}
	if name == "" {
		name = span.Name()
	}
	return operation{text(service), text(name)}
}

// readRelease reads what stands on the span that speaks for the release.
func (s *summary) readRelease(attrs pcommon.Map) {
	number := func(key string) int64 { return max(0, conventions.Int(attrs, key)) } // none is negative, unless a stranger wrote it
	s.start, s.duration = conventions.Int(attrs, conventions.AttrStart), number(conventions.AttrDuration)
	s.spans, s.services = int(number(conventions.AttrSpanCount)), int(number(conventions.AttrServiceCount))
	s.errors, s.missingParents = int(number(conventions.AttrErrorCount)), int(number(conventions.AttrMissingParents))
	id := conventions.Str(attrs, conventions.AttrBottleneckSpanID)
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != len(pcommon.SpanID{}) {
		return
	}
	s.bottleneckSpan = id
	s.bottleneck = operation{
		text(conventions.Str(attrs, conventions.AttrBottleneckService)),
		text(conventions.Str(attrs, conventions.AttrBottleneckOperation)),
	}
	if share, ok := attrs.Get(conventions.AttrBottleneckShare); ok && share.Type() == pcommon.ValueTypeDouble {
		s.bottleneckShare = share.Double()
	}
}

// guess counts what stands on spans that nobody explained.
func (s *summary) guess() {
	s.onPath, s.origins, s.pathTime, s.entry = s.onPath[:0], s.origins[:0], 0, operation{}
	services := make(map[string]struct{})
	end := int64(0)
	for i := range s.Spans {
		end = max(end, conventions.Nanoseconds(s.Spans[i].EndTimestamp()))
	}
	known := false
	s.start = end // if no span has a start
	for i := range s.Spans {
		span := &s.Spans[i]
		// As tracetree has it, 0 is no time where others are of our days.
		if start := conventions.Nanoseconds(span.StartTimestamp()); (start > 0 || end <= tracetree.MinRealTime) && (!known || start < s.start) {
			s.start, known = start, true
		}
		services[span.Service()] = struct{}{}
		if span.Status().Code() == ptrace.StatusCodeError {
			s.errors++
		}
	}
	s.spans, s.services, s.duration = len(s.Spans), len(services), max(0, end-s.start)
}

// unknown names what cannot be said, by the names of attributes without the prefix.
func (s *summary) unknown() []string {
	switch {
	case !s.analysed && s.Version == 0:
		return unknownUnassembled
	case !s.analysed:
		return unknownUnassembled[1:]
	case !s.Whole():
		return unknownInPart
	case s.Version == 0:
		return unknownUnassembled[:1]
	}
	return nil
}

var (
	unknownUnassembled = []string{"assembly.outcome", "entry", "missing_parents", "root_duration", "bottleneck", "error.origins"}
	unknownInPart      = []string{"root_duration", "bottleneck"}
)
