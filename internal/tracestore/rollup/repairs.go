package rollup

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// repairs are what a span of a late fragment, a part or an interim release says of earlier ones: the annotations of
// conventions.Repairs.
type repairs struct {
	repaired uint64
	children children
	peer     retractedCall
	entry    retractedEntry
}

// children are calls that earlier releases could not count, one in each place of the slices. Those that are left out are of zeros.
type children struct {
	service, operation, environment, protocol, duration, calls, failed pcommon.Slice
	has                                                                [7]bool
}

// retractedCall is a call of a virtual peer that an earlier release counted.
type retractedCall struct {
	service, kind, environment, protocol string
	failed                               bool
}

// retractedEntry says how the entry of the span's trace was counted, and what is to change.
type retractedEntry struct {
	outcome, environment string
	failed               bool
	was                  tracestore.Operation // another one than the span's
	wasEnvironment       string
	wasFailed            bool
}

// read takes an annotation. r may be nil, and the result is where it was none of these.
func (r *repairs) read(key string, value pcommon.Value) *repairs {
	if r == nil {
		if !slices.Contains(conventions.Repairs, key) {
			return nil
		}
		r = new(repairs)
	}
	switch key {
	case conventions.AttrRepaired:
		r.repaired = number(value)
	case conventions.AttrChildService:
		r.children.set(0, &r.children.service, value)
	case conventions.AttrChildOperation:
		r.children.set(1, &r.children.operation, value)
	case conventions.AttrChildEnvironment:
		r.children.set(2, &r.children.environment, value)
	case conventions.AttrChildProtocol:
		r.children.set(3, &r.children.protocol, value)
	case conventions.AttrChildDuration:
		r.children.set(4, &r.children.duration, value)
	case conventions.AttrChildError:
		r.children.set(5, &r.children.failed, value)
	case conventions.AttrChildCalls:
		r.children.set(6, &r.children.calls, value)
	case conventions.AttrRetractedPeerService:
		r.peer.service = text(value)
	case conventions.AttrRetractedPeerKind:
		r.peer.kind = text(value)
	case conventions.AttrRetractedEnvironment:
		r.peer.environment = text(value)
	case conventions.AttrRetractedProtocol:
		r.peer.protocol = text(value)
	case conventions.AttrRetractedError:
		r.peer.failed = isTrue(value)
	case conventions.AttrEntryOutcome:
		r.entry.outcome = text(value)
	case conventions.AttrEntryEnvironment:
		r.entry.environment = text(value)
	case conventions.AttrEntryError:
		r.entry.failed = isTrue(value)
	case conventions.AttrRetractedEntryService:
		r.entry.was.Service = text(value)
	case conventions.AttrRetractedEntryOperation:
		r.entry.was.Operation = text(value)
	case conventions.AttrRetractedEntryEnvironment:
		r.entry.wasEnvironment = text(value)
	case conventions.AttrRetractedEntryError:
		r.entry.wasFailed = isTrue(value)
	}
	return r
}

func (c *children) set(at int, to *pcommon.Slice, value pcommon.Value) {
	if value.Type() == pcommon.ValueTypeSlice {
		*to, c.has[at] = value.Slice(), true
	}
}

// at is the element of a slice, an empty value where it has none.
func (c *children) at(which int, list pcommon.Slice, i int) pcommon.Value {
	if c.has[which] && i < list.Len() {
		return list.At(i)
	}
	return pcommon.NewValueEmpty()
}

func (c *collector) addRepairs() {
	r := c.read.repairs
	if r.repaired > 0 {
		spans := c.spans()
		spans.numbers[numRepaired] = sum(spans.numbers[numRepaired], r.repaired)
	}
	if r.children.has[0] {
		for i := range r.children.service.Len() {
			c.addChild(&r.children, i)
		}
	}
	if r.peer.service != "" {
		c.retractCall(&r.peer)
	}
	if r.entry.outcome != "" {
		c.correctEntry(&r.entry)
	}
}

// addChild counts the call of a child that was released before.
func (c *collector) addChild(from *children, i int) {
	row := c.Sums.at(Edges, &key{
		colEnvironment: c.id(text(from.at(2, from.environment, i))),
		edgeParent:     c.resource.service, edgeParentOperation: c.operation,
		edgeChild:          c.id(text(from.at(0, from.service, i))),
		edgeChildOperation: c.id(text(from.at(1, from.operation, i))),
		edgeKind:           c.called,
		edgeProtocol:       c.id(cmp.Or(text(from.at(3, from.protocol, i)), conventions.ProtocolUnknown)),
	})
	calls := max(1, number(from.at(6, from.calls, i)))
	row.numbers[numCount] = sum(row.numbers[numCount], calls)
	if isTrue(from.at(5, from.failed, i)) {
		row.numbers[numErrors] = sum(row.numbers[numErrors], calls)
	}
	row.durations.add(int64(number(from.at(4, from.duration, i))))
}

// retractCall takes back the call of a virtual peer that the span's parent was counted for.
func (c *collector) retractCall(call *retractedCall) {
	parent := &c.read.parent
	row := c.Sums.at(Edges, &key{
		colEnvironment: c.id(call.environment),
		edgeParent:     c.id(parent.Service), edgeParentOperation: c.id(parent.Operation),
		edgeChild: c.id(call.service), edgeKind: c.id(cmp.Or(call.kind, conventions.KindExternal)),
		edgeProtocol: c.id(cmp.Or(call.protocol, conventions.ProtocolUnknown)),
	})
	row.retract(call.failed)
}

// correctEntry counts the span's trace where it belongs.
func (c *collector) correctEntry(entry *retractedEntry) {
	outcome := c.id(entry.outcome)
	row := c.Sums.at(Entries, &key{
		colEnvironment: c.id(entry.environment), entryService: c.last.entryService, entryOperation: c.last.entryName,
		entryOutcome: outcome,
	})
	if entry.failed {
		row.numbers[numErrors] = sum(row.numbers[numErrors], 1)
	}
	if entry.was.Service == "" {
		return
	}
	row.numbers[numCount] = sum(row.numbers[numCount], 1)
	if entry.wasFailed {
		row.numbers[numErrors] = sum(row.numbers[numErrors], 1)
	}
	row.durations.add(c.duration)
	c.Sums.at(Entries, &key{
		colEnvironment: c.id(entry.wasEnvironment), entryService: c.id(entry.was.Service),
		entryOperation: c.id(entry.was.Operation), entryOutcome: outcome,
	}).retract(entry.wasFailed)
}

// retract takes back one that was counted.
func (r *row) retract(failed bool) {
	r.numbers[numRetracted] = sum(r.numbers[numRetracted], 1)
	if failed {
		r.numbers[numRetractedErrors] = sum(r.numbers[numRetractedErrors], 1)
	}
}
