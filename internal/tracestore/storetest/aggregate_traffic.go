package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

var (
	tenants      = []string{"", "tenant"}
	environments = []string{"", "production", "staging"}
	services     = []string{"a", "b", "c"}
	peers        = []string{"a", "b", "a:80", "b.shop.svc", "c.shop.svc:80", "lb.example.com", "api.example.com"}
	broken       = []string{
		conventions.ViolationConflictingSpanID, conventions.ViolationMissingTime, conventions.ViolationNegativeDuration,
	}
	names     = []string{"GET /", "POST /", "work"}
	protocols = map[string]string{"": "unknown", "http.method": "http", "rpc.system": "grpc", "db.system": "mysql"}
)

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

// callMaker makes annotated calls. The annotations are random: who adds up believes them.
type callMaker struct{ *rand.Rand }

// call is a call of one minute of the first five, of a few releases of both tenants.
func (r callMaker) call() ptrace.Traces {
	td := ptrace.NewTraces()
	released := now.Add(time.Duration(r.IntN(300)) * time.Second).UnixNano()
	for _, number := range r.Perm(200)[:1+r.IntN(5)] {
		r.release(td, pick(r.Rand, tenants), released, byte(number))
	}
	return td
}

func (r callMaker) release(td ptrace.Traces, tenant string, released int64, trace byte) {
	n := 1 + r.IntN(6)
	entry := tracestore.Operation{Service: pick(r.Rand, services), Operation: pick(r.Rand, names)}
	for i := range n {
		rs := td.ResourceSpans().AppendEmpty()
		resource := rs.Resource().Attributes()
		resource.PutStr("service.name", pick(r.Rand, services))
		resource.PutInt(conventions.AttrReleasedAt, released)
		putText(resource, conventions.AttrTenant, tenant)
		putText(resource, pick(r.Rand, []string{"deployment.environment", "deployment.environment.name"}), pick(r.Rand, environments))
		putText(resource, "service.version", pick(r.Rand, []string{"", "1", "2"}))
		putText(resource, "k8s.node.name", pick(r.Rand, []string{"", "n1", "n2"}))
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(traceID(trace))
		span.SetSpanID(pcommon.SpanID{byte(r.IntN(256)), byte(r.IntN(256)), 7: byte(i + 1)})
		if i > 0 {
			span.SetParentSpanID(pick(r.Rand, []pcommon.SpanID{td.ResourceSpans().At(td.ResourceSpans().Len() - 2).ScopeSpans().At(0).Spans().At(0).SpanID(), {9}}))
		}
		r.describe(span)
		attrs := span.Attributes()
		putOperation(attrs, conventions.AttrEntryService, conventions.AttrEntryOperation, entry)
		if i == 0 {
			attrs.PutInt(conventions.AttrSpanCount, int64(n))
			if version := r.IntN(3); version > 0 {
				attrs.PutInt(conventions.AttrVersion, int64(version))
				attrs.PutStr(conventions.AttrOutcome, pick(r.Rand, conventions.Outcomes))
				putInt(attrs, conventions.AttrPart, int64(r.IntN(2)))
			}
			putInt(attrs, conventions.AttrMissingParents, int64(r.IntN(2)))
		}
	}
}

// describe fills in what is the span's own.
func (r callMaker) describe(span ptrace.Span) {
	span.SetName(pick(r.Rand, names))
	span.SetKind(ptrace.SpanKind(r.IntN(6)))
	start := start.Add(time.Duration(r.IntN(1000)) * ms)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(r.IntN(1_000_000)-1000) * time.Microsecond)))
	attrs := span.Attributes()
	for key, protocol := range protocols {
		if r.IntN(3) == 0 {
			putText(attrs, key, protocol)
		}
	}
	operation := func() tracestore.Operation {
		return tracestore.Operation{Service: pick(r.Rand, services), Operation: pick(r.Rand, names)}
	}
	if r.IntN(3) == 0 {
		putOperation(attrs, conventions.AttrParentService, conventions.AttrParentOperation, operation())
	}
	if r.IntN(5) == 0 {
		r.children(attrs)
	}
	if r.IntN(5) == 0 {
		r.retract(attrs, operation())
	}
	if r.IntN(6) == 0 {
		attrs.PutBool(conventions.AttrOrphan, true)
	}
	if r.IntN(3) == 0 {
		attrs.PutStr(conventions.AttrPeerService, pick(r.Rand, peers))
		attrs.PutStr(conventions.AttrPeerKind, pick(r.Rand, []string{conventions.KindExternal, conventions.KindExternal, conventions.KindQueue}))
	} else if r.IntN(3) == 0 {
		attrs.PutStr("server.address", pick(r.Rand, peers))
	}
	switch r.IntN(6) {
	case 0:
		attrs.PutInt(conventions.AttrWeight, 4)
	case 1:
		attrs.PutDouble(conventions.AttrWeight, 2.5)
	}
	if r.IntN(3) == 0 {
		attrs.PutInt("http.response.status_code", int64(200+r.IntN(2)))
		attrs.PutStr("user.tier", pick(r.Rand, []string{"gold", "silver"}))
	}
	if r.IntN(5) == 0 {
		attrs.PutStr(conventions.AttrOperation, "normalised")
	}
	if r.IntN(3) == 0 {
		span.Status().SetCode(ptrace.StatusCodeError)
		if r.IntN(2) == 0 {
			attrs.PutBool(conventions.AttrErrorOrigin, true)
			attrs.PutStr(conventions.AttrErrorFingerprint, fmt.Sprint("fingerprint ", r.IntN(3)))
		}
	}
	if r.IntN(6) == 0 {
		violations := attrs.PutEmptySlice(conventions.AttrViolations)
		for _, i := range r.Perm(len(broken))[:1+r.IntN(2)] {
			violations.AppendEmpty().SetStr(broken[i])
		}
	}
	putInt(attrs, conventions.AttrSelfTime, int64(r.IntN(1000)))
	putInt(attrs, conventions.AttrCriticalPathTime, int64(r.IntN(1000)))
}

// children are those that were released before their parent.
func (r callMaker) children(attrs pcommon.Map) {
	putInt(attrs, conventions.AttrRepaired, int64(r.IntN(4)))
	n := 1 + r.IntN(3)
	put := func(key string, value func() any) {
		list := attrs.PutEmptySlice(key)
		for range n {
			_ = list.AppendEmpty().FromRaw(value()) // fails for types that it does not know
		}
	}
	put(conventions.AttrChildService, func() any { return pick(r.Rand, services) })
	put(conventions.AttrChildOperation, func() any { return pick(r.Rand, names) })
	if r.IntN(2) == 0 {
		put(conventions.AttrChildEnvironment, func() any { return pick(r.Rand, environments) })
		put(conventions.AttrChildProtocol, func() any { return pick(r.Rand, []string{"http", "grpc"}) })
		put(conventions.AttrChildDuration, func() any { return int64(r.IntN(1_000_000)) })
		put(conventions.AttrChildCalls, func() any { return int64(1 + r.IntN(3)) })
		put(conventions.AttrChildError, func() any { return r.IntN(2) == 0 })
	}
}

// retract takes back a call of a virtual peer, an entry, or both.
func (r callMaker) retract(attrs pcommon.Map, entry tracestore.Operation) {
	if r.IntN(2) == 0 {
		attrs.PutStr(conventions.AttrRetractedPeerService, pick(r.Rand, peers))
		attrs.PutStr(conventions.AttrRetractedPeerKind, conventions.KindExternal)
		putText(attrs, conventions.AttrRetractedEnvironment, pick(r.Rand, environments))
		putText(attrs, conventions.AttrRetractedProtocol, pick(r.Rand, []string{"", "http", "grpc"}))
		attrs.PutBool(conventions.AttrRetractedError, r.IntN(2) == 0)
	}
	if r.IntN(2) == 0 {
		attrs.PutStr(conventions.AttrEntryOutcome, pick(r.Rand, conventions.Outcomes[:2]))
		putText(attrs, conventions.AttrEntryEnvironment, pick(r.Rand, environments))
		attrs.PutBool(conventions.AttrEntryError, r.IntN(2) == 0)
	}
	if r.IntN(2) == 0 {
		putOperation(attrs, conventions.AttrRetractedEntryService, conventions.AttrRetractedEntryOperation, entry)
		putText(attrs, conventions.AttrRetractedEntryEnvironment, pick(r.Rand, environments))
		attrs.PutBool(conventions.AttrRetractedEntryError, r.IntN(2) == 0)
	}
}

func putText(attrs pcommon.Map, key, value string) {
	if key != "" && value != "" {
		attrs.PutStr(key, value)
	}
}

func putInt(attrs pcommon.Map, key string, value int64) {
	if value != 0 {
		attrs.PutInt(key, value)
	}
}

func putOperation(attrs pcommon.Map, service, name string, operation tracestore.Operation) {
	attrs.PutStr(service, operation.Service)
	attrs.PutStr(name, operation.Operation)
}

// RandomStart is the minute in which the first of RandomCalls are released; they are released in it and the four after it.
var RandomStart = now

// RandomTenants and RandomEnvironments are theirs.
var RandomTenants, RandomEnvironments = tenants, environments

// RandomCalls makes calls for the suites of what adds annotations up: random ones, with all that late releases say of earlier ones.
func RandomCalls(random *rand.Rand, n int) []ptrace.Traces {
	calls := make([]ptrace.Traces, n)
	for i := range calls {
		calls[i] = callMaker{random}.call()
	}
	return calls
}
