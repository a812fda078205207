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
	// Service limits the answer to this service's operations, to edges and contexts that begin or end there, or to what this
	// service says (Contrasts); empty for all. Completeness does not look at it.
	Service string
	// ByVersion tells the versions of a service apart in Operations, which are one otherwise.
	ByVersion bool
	// ByOperation tells the operations of parent and child apart in Edges, which are one otherwise.
	ByOperation bool
	// NoDurations says that nobody looks at Durations: a storage may leave them nil, which is less to read.
	NoDurations bool
}

// Minutes are the minutes that the window touches, from the first to the end of the last.
func (q *AggregateQuery) Minutes() (start, end time.Time) {
	end = q.End.Truncate(time.Minute)
	if end.Before(q.End) {
		end = end.Add(time.Minute)
	}
	return q.Start.Truncate(time.Minute), end
}

// Durations is a distribution of durations, in nanoseconds, within 1 % (DDSketch). Nil where there are none.
type Durations = *ddsketch.DDSketch

// SpanKind is a span kind as the API spells it: server, client, producer, consumer, internal, unspecified.
type SpanKind = string

// OperationAggregate is one operation of one service.
type OperationAggregate struct {
	Operation
	// Version is the service.version where the query is ByVersion; empty where it is not, and for spans that name none.
	Version string
	Kind    SpanKind
	Calls   int64
	Errors  int64
	// Roots are the calls without a parent: nobody called, or the context of the caller was lost.
	Roots int64
	// Weight is for how many calls these stand where senders sampled: each for its adjusted count (conventions.AttrWeight), or
	// for itself.
	Weight float64
	// SelfTime and CriticalPathTime are sums, in nanoseconds.
	SelfTime         int64
	CriticalPathTime int64
	Durations        Durations
}

// OperationMinute is what one operation of one service took itself in one minute.
type OperationMinute struct {
	Minute time.Time // its begin
	Operation
	Kind     SpanKind
	Calls    int64
	SelfTime int64 // the sum, in nanoseconds
}

// EdgeAggregate is the calls of one service to another, or to a virtual peer.
type EdgeAggregate struct {
	Parent, Child string
	// ParentOperation and ChildOperation are set where the query is ByOperation. A virtual peer has no operation.
	ParentOperation, ChildOperation string
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

// ContextAggregate says how the trace context comes across from one service to another, and which rules spans break there.
type ContextAggregate struct {
	// Parent is the service that calls Child; empty for spans of Child that no other service called, or whose caller is not known.
	Parent, Child string
	// Calls are those of Parent that spans of Child answer. Unanswered are client spans of Parent that name Child as their peer
	// and that no span of Child answers, in the minutes in which Child sent spans: before, it may not have been there. Of both,
	// Unanswered is what lost the context on the way, or the spans of Child. Zero where Parent is empty.
	Calls, Unanswered int64
	// Peers are the names under which the unanswered calls name Child, sorted: its own, or those of hosts. See docs/analysis.md.
	Peers []string
	// Violations counts the spans of Child that break a rule, by the rule (conventions.Violation…). Nil where there are none.
	Violations map[string]int64
}

// ContrastAggregate is one value of one attribute in the traces of one entry.
type ContrastAggregate struct {
	Entry Operation
	// Service is the one that has the attribute.
	Service    string
	Key, Value string
	// Traces are those in which the service has the value, Errors those of them with at least one span that failed.
	Traces, Errors int64
	// Slow are the traces whose entry took longer than the p95 of the entry in the closed hour before, Judged those for which
	// that was known when they were written.
	Slow, Judged int64
}

// ContrastAttributes are the keys of the attributes by which traces are contrasted. A trace counts with its first release.
type ContrastAttributes struct {
	// Entry are looked up on the span by which the request entered, then on its resource.
	Entry []string
	// Services are looked up on the resources of all services of the trace.
	Services []string
}

// DefaultContrastAttributes is what backends take where nothing else is configured.
func DefaultContrastAttributes() ContrastAttributes {
	return ContrastAttributes{
		Entry:    []string{"http.response.status_code", "k8s.node.name", "cloud.availability_zone", "user.tier"},
		Services: []string{"service.version"},
	}
}

// MaxContrastValues is how many values of one key of one service are told apart, for each entry in each minute; the others
// are one more, "other".
const MaxContrastValues = 50

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
