package analysis

import (
	"math"
	"math/bits"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// faults is a set of violations, one bit each. Nearly every span has none, and none costs no memory.
type faults uint32

const (
	conflictingSpanID faults = 1 << iota
	deepNesting
	duplicateAttributeKey
	duplicateTracestateKey
	emptyAttributeKey
	futureStart
	inconsistentSampling
	invalidSamplingRandomness
	invalidSamplingThreshold
	invalidTracestate
	longName
	missingEventName
	missingEventTime
	missingServiceName
	missingSpanName
	missingTime
	negativeDuration
	oversizeAttribute
	parentCycle
	remoteWithoutParent
	timeOutOfRange
	tooManyLinks
	tooManyTracestateMembers
	unknownFlags
	unknownSpanKind
	unknownStatusCode
	wrongAttributeType
	zeroLinkID
)

// faultNames are the names of the bits, which are sorted by them.
var faultNames = [...]string{
	conventions.ViolationConflictingSpanID,
	conventions.ViolationDeepNesting,
	conventions.ViolationDuplicateAttributeKey,
	conventions.ViolationDuplicateTracestateKey,
	conventions.ViolationEmptyAttributeKey,
	conventions.ViolationFutureStart,
	conventions.ViolationInconsistentSampling,
	conventions.ViolationInvalidSamplingRandomness,
	conventions.ViolationInvalidSamplingThreshold,
	conventions.ViolationInvalidTracestate,
	conventions.ViolationLongName,
	conventions.ViolationMissingEventName,
	conventions.ViolationMissingEventTime,
	conventions.ViolationMissingServiceName,
	conventions.ViolationMissingSpanName,
	conventions.ViolationMissingTime,
	conventions.ViolationNegativeDuration,
	conventions.ViolationOversizeAttribute,
	conventions.ViolationParentCycle,
	conventions.ViolationRemoteWithoutParent,
	conventions.ViolationTimeOutOfRange,
	conventions.ViolationTooManyLinks,
	conventions.ViolationTooManyTracestateMembers,
	conventions.ViolationUnknownFlags,
	conventions.ViolationUnknownSpanKind,
	conventions.ViolationUnknownStatusCode,
	conventions.ViolationWrongAttributeType,
	conventions.ViolationZeroLinkID,
}

// readFaults are those that a span, its events and its links have by themselves, whatever stands around it. Those of its attributes
// and of its tracestate are not among them.
func readFaults(span ptrace.Span, states *stateReader) faults {
	found := spanFaults(span)
	if span.Events().Len() > 0 {
		for _, event := range span.Events().All() {
			found |= attributeFaults(conventions.ReadAttributeFaults(event.Attributes()))
			if conventions.Nanoseconds(event.Timestamp()) == 0 {
				found |= missingEventTime
			}
			if event.Name() == "" {
				found |= missingEventName
			}
		}
	}
	if span.Links().Len() > 0 {
		for _, link := range span.Links().All() {
			found |= linkFaults(link) | states.read(link.TraceState()) | attributeFaults(conventions.ReadAttributeFaults(link.Attributes()))
		}
	}
	return found
}

// placeFaults are those of a span's place in the tree and in time. releasedAt is 0 where it is not known.
func placeFaults(n *tracetree.Node, releasedAt int64) faults {
	var found faults
	if n.Conflict {
		found |= conflictingSpanID
	}
	if n.Parent < 0 && n.InTree() && !n.MissingParent && !n.ParentSpanID().IsEmpty() {
		found |= parentCycle
	}
	if releasedAt > 0 && n.Start-int64(conventions.FutureStart) > releasedAt {
		found |= futureStart
	}
	return found
}

// violations are the names of the rules that a span breaks, sorted: those that were found, and those that stand on it if it is
// annotated, for an earlier stage may have seen what cannot be seen here. Nil for most spans.
func violations(span ptrace.Span, found faults, annotated bool) []string {
	var standing pcommon.Value
	ok := false
	if annotated {
		standing, ok = span.Attributes().Get(conventions.AttrViolations)
	}
	if !ok && found == 0 {
		return nil
	}
	names := make([]string, 0, bits.OnesCount32(uint32(found)))
	for ; found != 0; found &= found - 1 {
		names = append(names, faultNames[bits.TrailingZeros32(uint32(found))])
	}
	if ok && standing.Type() == pcommon.ValueTypeSlice {
		for _, v := range standing.Slice().All() {
			if v.Type() == pcommon.ValueTypeStr && v.Str() != "" {
				names = append(names, v.Str())
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names
}

// spanFaults are those of the span's own fields.
func spanFaults(span ptrace.Span) faults {
	var found faults
	start, end := span.StartTimestamp(), span.EndTimestamp()
	if start == 0 || end == 0 {
		found |= missingTime
	}
	if end < start {
		found |= negativeDuration
	}
	if start > math.MaxInt64 || end > math.MaxInt64 {
		found |= timeOutOfRange
	}
	if size := len(span.Name()); size == 0 {
		found |= missingSpanName
	} else if size > conventions.MaxNameBytes {
		found |= longName
	}
	if kind := span.Kind(); kind < ptrace.SpanKindUnspecified || kind > ptrace.SpanKindConsumer {
		found |= unknownSpanKind
	}
	if code := span.Status().Code(); code < ptrace.StatusCodeUnset || code > ptrace.StatusCodeError {
		found |= unknownStatusCode
	}
	if span.Links().Len() > conventions.MaxLinks {
		found |= tooManyLinks
	}
	found |= flagFaults(span.Flags())
	const remote = conventions.FlagRemoteKnown | conventions.FlagRemote
	if span.Flags()&remote == remote && span.ParentSpanID().IsEmpty() {
		found |= remoteWithoutParent
	}
	return found
}

func linkFaults(link ptrace.SpanLink) faults {
	found := flagFaults(link.Flags())
	if link.TraceID().IsEmpty() || link.SpanID().IsEmpty() {
		found |= zeroLinkID
	}
	return found
}

// flagFaults are none where a flag is not set: senders of older versions set none.
func flagFaults(flags uint32) faults {
	if flags&^conventions.KnownFlags != 0 || flags&(conventions.FlagRemote|conventions.FlagRemoteKnown) == conventions.FlagRemote {
		return unknownFlags
	}
	return 0
}

// stateReader reads tracestates. One that is like the last is not read again: those of a trace are mostly alike.
type stateReader struct {
	last   string
	faults faults
	weight float64 // 0 for 1
}

func (r *stateReader) read(state pcommon.TraceState) faults {
	if raw := state.AsRaw(); raw != r.last {
		read, ot := conventions.ReadTracestate(raw)
		*r = stateReader{last: raw}
		if read.Invalid {
			r.faults |= invalidTracestate
		}
		if read.DuplicateKey {
			r.faults |= duplicateTracestateKey
		}
		if read.TooManyMembers {
			r.faults |= tooManyTracestateMembers
		}
		if ot != "" {
			r.readSampling(ot)
		}
	}
	return r.faults
}

func (r *stateReader) readSampling(ot string) {
	sampling := conventions.ReadSampling(ot)
	r.weight = sampling.Weight
	if sampling.BadThreshold {
		r.faults |= invalidSamplingThreshold
	}
	if sampling.BadRandomness {
		r.faults |= invalidSamplingRandomness
	}
	if sampling.Inconsistent {
		r.faults |= inconsistentSampling
	}
}

// resourceFaults are those of what spans share.
func resourceFaults(resource pcommon.Resource) faults {
	found := attributeFaults(conventions.ReadAttributeFaults(resource.Attributes()))
	if conventions.WrongResourceType(resource) {
		found |= wrongAttributeType
	}
	service := conventions.ServiceName(resource)
	if len(service) > conventions.MaxNameBytes {
		found |= longName
	}
	if service == conventions.UnknownService {
		if given, ok := resource.Attributes().Get(string(semconv.ServiceNameKey)); !ok || given.AsString() != service {
			found |= missingServiceName
		}
	}
	return found
}

// attributeFaults are those of attributes whatever they mean.
func attributeFaults(found conventions.AttributeFaults) faults {
	if found == 0 {
		return 0 // nearly always
	}
	var f faults
	for _, known := range [...]struct {
		of  conventions.AttributeFaults
		bit faults
	}{
		{conventions.EmptyKey, emptyAttributeKey},
		{conventions.DuplicateKey, duplicateAttributeKey},
		{conventions.OversizeValue, oversizeAttribute},
		{conventions.DeepValue, deepNesting},
	} {
		if found&known.of != 0 {
			f |= known.bit
		}
	}
	return f
}
