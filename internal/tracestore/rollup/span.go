package rollup

import (
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// annotations are what stands on one span, as far as rollups count it, and the protocol that it names.
type annotations struct {
	service, operation string // where they differ from the sender's
	entry              tracestore.Operation
	parent             tracestore.Operation
	peer, peerKind     string
	selfTime, pathTime uint64
	errorOrigin        bool
	fingerprint        string
	conflicting        bool // its identity was seen before with other times: it is not counted
	protocol           conventions.ProtocolFacts

	orphan bool

	summary bool     // the span carries what concerns its release
	repairs *repairs // nil for most
}

// read reads the annotations of a span in a single pass.
func (a *annotations) read(attrs pcommon.Map) {
	*a = annotations{}
	for key, value := range attrs.All() {
		switch key {
		case conventions.AttrService:
			a.service = text(value)
		case conventions.AttrOperation:
			a.operation = text(value)
		case conventions.AttrEntryService:
			a.entry.Service = text(value)
		case conventions.AttrEntryOperation:
			a.entry.Operation = text(value)
		case conventions.AttrParentService:
			a.parent.Service = text(value)
		case conventions.AttrParentOperation:
			a.parent.Operation = text(value)
		case conventions.AttrPeerService:
			a.peer = text(value)
		case conventions.AttrPeerKind:
			a.peerKind = text(value)
		case conventions.AttrSelfTime:
			a.selfTime = number(value)
		case conventions.AttrCriticalPathTime:
			a.pathTime = number(value)
		case conventions.AttrErrorOrigin:
			a.errorOrigin = isTrue(value)
		case conventions.AttrErrorFingerprint:
			a.fingerprint = text(value)
		case conventions.AttrViolations:
			a.conflicting = conflicting(value)
		case conventions.AttrSpanCount:
			a.summary = true
		case conventions.AttrCategory: // on every span, in no sum
		case conventions.AttrOrphan:
			a.orphan = isTrue(value)
		default:
			if strings.HasPrefix(key, conventions.Prefix) {
				a.repairs = a.repairs.read(key, value)
			} else {
				a.protocol.Read(key, value)
			}
		}
	}
}

func text(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return ""
}

func isTrue(value pcommon.Value) bool { return value.Type() == pcommon.ValueTypeBool && value.Bool() }

func number(value pcommon.Value) uint64 {
	if value.Type() == pcommon.ValueTypeInt {
		return uint64(max(0, value.Int()))
	}
	return 0
}

func conflicting(violations pcommon.Value) bool {
	if violations.Type() != pcommon.ValueTypeSlice {
		return false
	}
	for _, name := range violations.Slice().All() {
		if text(name) == conventions.ViolationConflictingSpanID {
			return true
		}
	}
	return false
}

// kinds are span kinds as the API spells them.
var kinds = [...]string{
	ptrace.SpanKindUnspecified: "unspecified",
	ptrace.SpanKindInternal:    "internal",
	ptrace.SpanKindServer:      "server",
	ptrace.SpanKindClient:      "client",
	ptrace.SpanKindProducer:    "producer",
	ptrace.SpanKindConsumer:    "consumer",
}

// startTime is a span's start; a time outside int64 counts as 0, as in the tree.
func startTime(span ptrace.Span) int64 {
	if t := span.StartTimestamp(); t <= math.MaxInt64 {
		return int64(t)
	}
	return 0
}
