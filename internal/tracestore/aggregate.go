package tracestore

import (
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
)

// Aggregates are sums over rollups: what a storage adds up as releases are written, by the minute of their time of release. They
// are known to the minute, and count every span once however often its call was repeated. A minute holds a limited number of
// series; what is beyond is one more, whose services and operations are called "other". It stands in the answers to queries that
// name neither an environment nor a service.

// AggregateQuery says over what an aggregate is wanted.
type AggregateQuery struct {
	// Start and End bound the time of release: the minutes that [Start, End) touches. Both are set.
	Start, End time.Time
	// Environment is a deployment.environment.name; nil for all of them together, empty for spans that name none.
	Environment *string
	// Service limits the answer to this service's operations, or to edges that begin or end there; empty for all. Completeness
	// does not look at it.
	Service string
}

// Durations is a distribution of durations, in nanoseconds, within 1 % (DDSketch). Nil where there are none.
type Durations = *ddsketch.DDSketch

// SpanKind is a span kind as the API spells it: server, client, producer, consumer, internal, unspecified.
type SpanKind = string

// OperationAggregate is one operation of one service.
type OperationAggregate struct {
	Operation
	Kind   SpanKind
	Calls  int64
	Errors int64
	// SelfTime and CriticalPathTime are sums, in nanoseconds.
	SelfTime         int64
	CriticalPathTime int64
	Durations        Durations
}

// EdgeAggregate is the calls of one service to another, or to a virtual peer.
type EdgeAggregate struct {
	Parent, Child string
	// ChildKind is conventions.KindService, or what a virtual peer is.
	ChildKind string
	// Protocol is http, grpc, the rpc, messaging or db system, else unknown.
	Protocol string
	// Calls, Errors and Durations are the server span's; the client span's for a virtual peer.
	Calls     int64
	Errors    int64
	Durations Durations
}

// EntryAggregate is one operation by which requests enter the system.
type EntryAggregate struct {
	Operation
	Traces    int64
	Errors    int64            // traces with at least one span that failed
	Outcomes  map[string]int64 // traces by outcome
	Durations Durations
}

// EntryOperationAggregate is what one operation does for the requests of one entry.
type EntryOperationAggregate struct {
	Entry Operation
	Operation
	Traces           int64
	Calls            int64
	Errors           int64
	SelfTime         int64
	CriticalPathTime int64
}

// ErrorAggregate is one failure, recognised over traces by its fingerprint.
type ErrorAggregate struct {
	Fingerprint string
	Operation
	Entry Operation
	Count int64
	// First and Last are times of release, to the minute.
	First, Last time.Time
	// TraceIDs are of up to five traces, as 32 hex digits.
	TraceIDs []string
}

// Completeness says how far the aggregates of a window can be trusted.
type Completeness struct {
	// Spans is the number of spans in the window.
	Spans int64
	// Partial is the number of those that came in a release which is not a whole trace (late, in parts, interim): they
	// count as calls, but not for critical paths.
	Partial int64
	// Unrepaired is the number of spans whose caller is unknown because their parent was released nowhere when they were, and
	// has not come since: edges may lack as many calls.
	Unrepaired int64
	// Other is the number of spans whose series stood beyond the limit of a minute and were counted as "other": of the kind of
	// aggregate that has most of them, and of all environments.
	Other int64
}
