package rollup

import (
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/attributes"
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

	violations pcommon.Slice // where violated
	violated   bool
	excess     uint64 // of the weight above 1, in 1/weightUnit

	orphan bool

	summary bool     // the span carries what concerns its release
	repairs *repairs // nil for most
}

// read reads the annotations of a span in a single pass.
func (a *annotations) read(attrs pcommon.Map) {
	*a = annotations{}
	list := attributes.List(attrs)
	for i := range list {
		x := &list[i]
		key := x.Key()
		if len(key) <= len(conventions.Prefix) || key[0] != conventions.Prefix[0] || !strings.HasPrefix(key, conventions.Prefix) {
			if key != "" && protocolKeys[key[0]] && x.IsStr() { // few are
				a.protocol.Text(key, x.Str())
			}
			continue
		}
		switch key {
		case conventions.AttrService:
			a.service = textOf(x)
		case conventions.AttrOperation:
			a.operation = textOf(x)
		case conventions.AttrEntryService:
			a.entry.Service = textOf(x)
		case conventions.AttrEntryOperation:
			a.entry.Operation = textOf(x)
		case conventions.AttrParentService:
			a.parent.Service = textOf(x)
		case conventions.AttrParentOperation:
			a.parent.Operation = textOf(x)
		case conventions.AttrPeerService:
			a.peer = textOf(x)
		case conventions.AttrPeerKind:
			a.peerKind = textOf(x)
		case conventions.AttrSelfTime:
			a.selfTime = numberOf(x)
		case conventions.AttrCriticalPathTime:
			a.pathTime = numberOf(x)
		case conventions.AttrErrorOrigin:
			a.errorOrigin = isTrue(x.Value(attrs))
		case conventions.AttrErrorFingerprint:
			a.fingerprint = textOf(x)
		case conventions.AttrViolations:
			a.readViolations(x.Value(attrs))
		case conventions.AttrWeight:
			a.excess = excess(x.Value(attrs))
		case conventions.AttrSpanCount:
			a.summary = true
		case conventions.AttrCategory: // on every span, in no sum
		case conventions.AttrOrphan:
			a.orphan = isTrue(x.Value(attrs))
		default:
			if repairKeys[key[len(conventions.Prefix)]] {
				a.repairs = a.repairs.read(key, x.Value(attrs))
			}
		}
	}
}

// protocolKeys are the first letters of what ProtocolFacts reads: db, http, messaging, rpc.
var protocolKeys = [256]bool{'d': true, 'h': true, 'm': true, 'r': true}

// repairKeys are the first letters behind the prefix of conventions.Repairs.
var repairKeys = func() (letters [256]bool) {
	for _, key := range conventions.Repairs {
		letters[key[len(conventions.Prefix)]] = true
	}
	return letters
}()

func textOf(a *attributes.Attribute) string {
	if a.IsStr() {
		return a.Str()
	}
	return ""
}

func numberOf(a *attributes.Attribute) uint64 {
	if a.IsInt() {
		return uint64(max(0, a.Int()))
	}
	return 0
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

func (a *annotations) readViolations(value pcommon.Value) {
	if value.Type() != pcommon.ValueTypeSlice {
		return
	}
	a.violations, a.violated = value.Slice(), true
	for _, name := range a.violations.All() {
		a.conflicting = a.conflicting || text(name) == conventions.ViolationConflictingSpanID
	}
}

const (
	// weightUnit is what a weight is rounded to. Calls that stand for themselves, as most do, take no room.
	weightUnit = 1024
	// maxWeight is above any probability that somebody samples with.
	maxWeight = 1 << 40
)

// excess is what a weight is above 1. A weight below 1 is none.
func excess(value pcommon.Value) uint64 {
	weight := 1.0
	switch value.Type() {
	case pcommon.ValueTypeDouble:
		weight = value.Double()
	case pcommon.ValueTypeInt:
		weight = float64(value.Int())
	}
	if !(weight > 1) { // NaN is none either
		return 0
	}
	return uint64(math.Round((min(weight, maxWeight) - 1) * weightUnit))
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
