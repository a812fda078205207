// Package conventions holds the attribute names that Tracewright writes on spans and resources, and the look-ups of
// OpenTelemetry's semantic conventions that more than one stage needs. It knows nothing of traces or storage.
package conventions

// Prefix starts the name of every attribute that Tracewright writes. Incoming attributes under it are removed by
// trace_assembly unless it is told to trust them.
const Prefix = "tracewright."

// Annotations: what one stage knows and a later one needs travels on the spans under these names. Times and durations are
// int64 nanoseconds. An attribute is left out where it would be zero or false.
const (
	// On every resource of a release.

	// AttrReleasedAt is the time at which the call was closed, Unix nanoseconds; one value for a whole call.
	AttrReleasedAt = Prefix + "released_at"
	// AttrTenant is the tenant that the spans belong to; absent for the default tenant.
	AttrTenant = Prefix + "tenant"

	// On the root span of a release, or its earliest span: the release as a row of its own.

	// AttrOutcome says why the release was made, one of the Outcome constants.
	AttrOutcome = Prefix + "assembly.outcome"
	// AttrVersion counts the releases of a trace from 1.
	AttrVersion = Prefix + "assembly.version"
	// AttrPart numbers the parts of an oversized trace from 0, so that version 1, part 0 exists once in every trace.
	AttrPart = Prefix + "assembly.part"

	AttrSpanCount    = Prefix + "span_count"
	AttrServiceCount = Prefix + "service_count"
	AttrErrorCount   = Prefix + "error_count"
	// AttrMissingParents counts parents that were released nowhere. The spans that miss them have AttrOrphan.
	AttrMissingParents = Prefix + "missing_parents"
	// AttrStart is the first start after skew correction, Unix nanoseconds.
	AttrStart = Prefix + "start"
	// AttrDuration is the last end minus the first start after skew correction.
	AttrDuration = Prefix + "duration"
	// AttrServices is the sorted slice of the service names.
	AttrServices = Prefix + "services"

	AttrBottleneckService   = Prefix + "bottleneck.service"
	AttrBottleneckOperation = Prefix + "bottleneck.operation"
	// AttrBottleneckSpanID is the span's id as 16 hex digits.
	AttrBottleneckSpanID = Prefix + "bottleneck.span_id"
	// AttrBottleneckShare repeats the bottleneck's share (AttrBottleneck) on the release's root.
	AttrBottleneckShare = Prefix + "bottleneck.share"

	// On spans.

	AttrEntryService    = Prefix + "entry.service"
	AttrEntryOperation  = Prefix + "entry.operation"
	AttrParentService   = Prefix + "parent.service"
	AttrParentOperation = Prefix + "parent.operation"
	// AttrOrphan says that the span names a parent that was released nowhere before its own release: its caller is not known.
	AttrOrphan = Prefix + "orphan"
	// AttrService and AttrOperation are the normalised names, where they differ from the sender's.
	AttrService     = Prefix + "service"
	AttrOperation   = Prefix + "operation"
	AttrPeerService = Prefix + "peer.service"
	AttrPeerKind    = Prefix + "peer.kind"
	AttrCategory    = Prefix + "category"
	AttrSelfTime    = Prefix + "self_time"
	// AttrCriticalPathTime is the time for which this span itself holds the critical path.
	AttrCriticalPathTime = Prefix + "critical_path_time"
	// AttrBottleneck is the share of the critical path, 0 to 1, on the span that holds most of it.
	AttrBottleneck       = Prefix + "bottleneck"
	AttrErrorOrigin      = Prefix + "error.origin"
	AttrErrorFingerprint = Prefix + "error.fingerprint"
	// AttrClockSkew is the shift added to the span's times.
	AttrClockSkew = Prefix + "clock_skew"
	// AttrViolations is the slice of the names of the rules that the span breaks.
	AttrViolations = Prefix + "violations"
	// AttrWeight is the span's adjusted count, a double: how many spans it stands for. Left out where it is 1.
	AttrWeight = Prefix + "weight"
)

// What late spans, parts and interim releases make good. Sums over releases are those over whole traces: what an earlier release
// could not count is counted with the span that makes it known, and what it counted as something else is taken back there.
// trace_assembly writes these from what it remembers of the earlier releases.
const (
	// On a span whose children were released before it, as orphans: AttrRepaired counts them. Of those in other services,
	// whose calls nobody has counted, the others say what a call counts, in slices with an element for each child; one whose
	// elements would all be zero is left out.
	AttrRepaired       = Prefix + "repaired"
	AttrChildService   = Prefix + "child.service"
	AttrChildOperation = Prefix + "child.operation"
	// AttrChildEnvironment is the deployment environment of each child.
	AttrChildEnvironment = Prefix + "child.environment"
	AttrChildProtocol    = Prefix + "child.protocol"
	AttrChildDuration    = Prefix + "child.duration"
	// AttrChildCalls is how many calls an element stands for; all of them are 1 where it is left out. A trace with many orphans
	// has them added up, with the duration of the first.
	AttrChildCalls = Prefix + "child.calls"
	AttrChildError = Prefix + "child.error"

	// AttrAnswered says of a client or producer span that spans of another service answer it, in other releases that count
	// their calls themselves.
	AttrAnswered = Prefix + "answered"

	// On a span whose parent (AttrParentService, AttrParentOperation) was released before it and counted as a call of a
	// virtual peer: the first span that answers the parent takes that call back. The sketch of the call's duration cannot
	// be taken back.
	AttrRetractedPeerService = Prefix + "retracted.peer.service"
	AttrRetractedPeerKind    = Prefix + "retracted.peer.kind"
	// AttrRetractedEnvironment is the parent's deployment environment.
	AttrRetractedEnvironment = Prefix + "retracted.environment"
	AttrRetractedProtocol    = Prefix + "retracted.protocol"
	AttrRetractedError       = Prefix + "retracted.error"

	// AttrEntryOutcome is the outcome under which the trace's entry was counted with its first release. It stands on the spans
	// of later ones that change what was counted, with AttrEntryEnvironment, the environment of the entry root:
	//
	//   - on the first that failed in the trace, with AttrEntryError: the trace failed;
	//   - on a root that is the entry in the place of another, with AttrRetractedEntryOperation and its like: the trace was
	//     counted under that one, with AttrRetractedEntryError as one that failed, and is to be counted under this one.
	AttrEntryOutcome              = Prefix + "entry.outcome"
	AttrEntryEnvironment          = Prefix + "entry.environment"
	AttrEntryError                = Prefix + "entry.error"
	AttrRetractedEntryService     = Prefix + "retracted.entry.service"
	AttrRetractedEntryOperation   = Prefix + "retracted.entry.operation"
	AttrRetractedEntryEnvironment = Prefix + "retracted.entry.environment"
	AttrRetractedEntryError       = Prefix + "retracted.entry.error"
)

// Repairs lists what a late span, a part or an interim release makes good. In a joined trace there is nothing to.
var Repairs = []string{
	AttrRepaired, AttrChildService, AttrChildOperation, AttrChildEnvironment, AttrChildProtocol, AttrChildDuration, AttrChildCalls,
	AttrChildError,
	AttrAnswered, AttrRetractedPeerService, AttrRetractedPeerKind, AttrRetractedEnvironment, AttrRetractedProtocol,
	AttrRetractedError, AttrEntryOutcome, AttrEntryEnvironment, AttrEntryError, AttrRetractedEntryService,
	AttrRetractedEntryOperation, AttrRetractedEntryEnvironment, AttrRetractedEntryError,
}

// Outcomes of a release.
const (
	OutcomeComplete = "complete"
	OutcomeQuiet    = "quiet"
	OutcomeTimeout  = "timeout"
	OutcomeMemory   = "memory"
	OutcomeShutdown = "shutdown"
	OutcomePart     = "part"
	OutcomeInterim  = "interim"
	OutcomeLate     = "late"
)

// Outcomes lists every outcome, for validation.
var Outcomes = []string{
	OutcomeComplete, OutcomeQuiet, OutcomeTimeout, OutcomeMemory, OutcomeShutdown, OutcomePart, OutcomeInterim, OutcomeLate,
}

// Kinds of a virtual peer (AttrPeerKind) and of a node of the service map.
const (
	KindService  = "service"
	KindDatabase = "database"
	KindQueue    = "queue"
	KindExternal = "external"
)

// Categories of a span (AttrCategory).
const (
	CategoryServiceCall       = "service_call"
	CategoryBusinessOperation = "business_operation"
	CategoryExternalCall      = "external_call"
	CategoryDatabaseOperation = "database_operation"
	CategoryNetwork           = "network"
	CategoryStorage           = "storage"
	CategoryContainer         = "container"
	CategoryOrchestration     = "orchestration"
	CategoryMessaging         = "messaging"
	CategoryInternal          = "internal"
)

// Categories lists every category, for validation.
var Categories = []string{
	CategoryServiceCall, CategoryBusinessOperation, CategoryExternalCall, CategoryDatabaseOperation, CategoryNetwork,
	CategoryStorage, CategoryContainer, CategoryOrchestration, CategoryMessaging, CategoryInternal,
}

// Violations: stable names of the rules that a span can break. The span is stored as it was sent; the names tell what of the
// answers about it not to trust.
const (
	// ViolationConflictingSpanID marks a span whose identity was seen before with other times.
	ViolationConflictingSpanID = "conflicting_span_id"
	// ViolationDeepNesting marks an attribute nested above MaxNesting; answers have what lies deeper as text.
	ViolationDeepNesting = "deep_nesting"
	// ViolationDuplicateAttributeKey marks a key that stands more than once; searches and answers take the first.
	ViolationDuplicateAttributeKey = "duplicate_attribute_key"
	// ViolationDuplicateTracestateKey marks a tracestate, of a span or of a link, in which a key stands more than once.
	ViolationDuplicateTracestateKey = "duplicate_tracestate_key"
	// ViolationEmptyAttributeKey marks an attribute without a key.
	ViolationEmptyAttributeKey = "empty_attribute_key"
	// ViolationFutureStart marks a start, after skew correction, more than FutureStart after the release; searches find the span as if it had begun at that
	// limit.
	ViolationFutureStart = "future_start"
	// ViolationInconsistentSampling marks a tracestate by which the span would not have been sampled; its weight is not known.
	ViolationInconsistentSampling = "inconsistent_sampling"
	// ViolationInvalidSamplingRandomness and ViolationInvalidSamplingThreshold mark an rv, a th of OpenTelemetry's member of the
	// tracestate that is not as it has them, see ReadSampling.
	ViolationInvalidSamplingRandomness = "invalid_sampling_randomness"
	ViolationInvalidSamplingThreshold  = "invalid_sampling_threshold"
	// ViolationInvalidTracestate marks a tracestate, of a span or of a link, that is not as W3C Trace Context has it, see
	// ReadTracestate.
	ViolationInvalidTracestate = "invalid_tracestate"
	// ViolationLongName marks a service or span name above MaxNameBytes; aggregates use its beginning.
	ViolationLongName = "long_name"
	// ViolationMissingEventName marks an event without a name.
	ViolationMissingEventName = "missing_event_name"
	// ViolationMissingEventTime marks an event whose time is 0, or one that int64 cannot hold, which counts as 0.
	ViolationMissingEventTime = "missing_event_time"
	// ViolationMissingServiceName marks a resource without a service.name.
	ViolationMissingServiceName = "missing_service_name"
	// ViolationMissingSpanName marks an empty span name.
	ViolationMissingSpanName = "missing_span_name"
	// ViolationMissingTime marks a start or an end of 0. In a trace with real times a span without a start stands at its
	// parent's, without a duration.
	ViolationMissingTime = "missing_time"
	// ViolationNegativeDuration marks an end before the start; the duration counts as 0.
	ViolationNegativeDuration = "negative_duration"
	// ViolationOversizeAttribute marks an attribute above MaxAttributeBytes.
	ViolationOversizeAttribute = "oversize_attribute"
	// ViolationParentCycle marks the span at which a cycle of parents was cut: it stands as a root.
	ViolationParentCycle = "parent_cycle"
	// ViolationRemoteWithoutParent marks a span without a parent whose flags say that its parent is remote: the caller's id was
	// lost.
	ViolationRemoteWithoutParent = "remote_without_parent"
	// ViolationTimeOutOfRange marks a start or an end that int64 cannot hold; it counts as 0, see ViolationMissingTime.
	ViolationTimeOutOfRange = "time_out_of_range"
	// ViolationTooManyLinks marks more than MaxLinks links.
	ViolationTooManyLinks = "too_many_links"
	// ViolationTooManyTracestateMembers marks a tracestate, of a span or of a link, with more than MaxTracestateMembers members.
	ViolationTooManyTracestateMembers = "too_many_tracestate_members"
	// ViolationUnknownFlags marks flags, of a span or of a link, beyond KnownFlags, or that say remote and not that this is known.
	ViolationUnknownFlags = "unknown_flags"
	// ViolationUnknownSpanKind marks a kind that OTLP does not have; it counts as unspecified.
	ViolationUnknownSpanKind = "unknown_span_kind"
	// ViolationUnknownStatusCode marks a status code that OTLP does not have; it counts as unset.
	ViolationUnknownStatusCode = "unknown_status_code"
	// ViolationWrongAttributeType marks a value of another type than the semantic conventions give to its key, see
	// SpanFacts.WrongType and WrongResourceType; what wants the other type does not see it.
	ViolationWrongAttributeType = "wrong_attribute_type"
	// ViolationZeroLinkID marks a link whose trace or span id is all zeros: it leads nowhere.
	ViolationZeroLinkID = "zero_link_id"
)

// UnknownService names the service of a resource without service.name, as the semantic conventions want it.
const UnknownService = "unknown_service"
