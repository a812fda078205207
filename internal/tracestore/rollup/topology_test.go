package rollup_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// answering appends a span by which a service answers a call.
func answering(td ptrace.Traces, service, operation, caller string) ptrace.Span {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetName(operation)
	span.SetKind(ptrace.SpanKindServer)
	span.Attributes().PutStr(conventions.AttrParentService, caller)
	span.Attributes().PutStr(conventions.AttrEntryService, "web")
	span.Attributes().PutStr(conventions.AttrEntryOperation, "GET /")
	return span
}

func topologyOf(td ptrace.Traces) *rollup.Topology {
	var call rollup.Call
	releases := tracetree.Releases(td)
	for i := range releases {
		call.Add(&releases[i], 0)
	}
	deltas := call.Deltas()
	return deltas[0].Topology()
}

// TestTopology: operations of a service are one, and what late spans take back is below zero.
func TestTopology(t *testing.T) {
	td := ptrace.NewTraces()
	answering(td, "stock", "take", "shop").Status().SetCode(ptrace.StatusCodeError)
	answering(td, "stock", "take", "shop")
	answering(td, "stock", "list", "shop")
	late := answering(td, "mail", "send", "shop")
	late.Attributes().PutStr(conventions.AttrRetractedPeerService, "mail:25")
	late.Attributes().PutStr(conventions.AttrRetractedPeerKind, conventions.KindExternal)
	client := answering(td, "shop", "buy", "")
	client.SetKind(ptrace.SpanKindClient)
	client.Attributes().PutStr(conventions.AttrPeerService, "bank")

	entry := tracestore.Operation{Service: "web", Operation: "GET /"}
	edge := func(child, kind string, calls, failed int64) rollup.EdgeCount {
		return rollup.EdgeCount{Parent: "shop", Child: child, ChildKind: kind, Protocol: conventions.ProtocolUnknown, Calls: calls, Errors: failed}
	}
	got := topologyOf(td)
	require.Equal(t, []rollup.ServiceCount{{Service: "stock", Calls: 3, Errors: 1}, {Service: "mail", Calls: 1}, {Service: "shop"}}, got.Services)
	require.Equal(t, []rollup.EdgeCount{
		edge("stock", conventions.KindService, 3, 1), edge("mail", conventions.KindService, 1, 0),
		edge("mail:25", conventions.KindExternal, -1, 0), edge("bank", conventions.KindExternal, 1, 0),
	}, got.Edges)
	require.Equal(t, []rollup.PassCount{
		{Entry: entry, Service: "stock", AtLeast: 1, AtMost: 2}, {Entry: entry, Service: "mail", AtLeast: 1, AtMost: 1}, {Entry: entry, Service: "shop", AtLeast: 1, AtMost: 1},
	}, got.Passes)
}

// TestTopologyOther: what is beyond the limits of a minute is "other", and is counted.
func TestTopologyOther(t *testing.T) {
	const beyond = 7
	td := ptrace.NewTraces()
	for i := range rollup.MaxSeries + beyond {
		answering(td, fmt.Sprint("service ", i), "work", "caller")
	}
	got := topologyOf(td)
	require.Len(t, got.Services, rollup.MaxSeries+1)
	require.Equal(t, rollup.ServiceCount{Service: "other"}, got.Services[rollup.MaxSeries], "of which kind its spans are is not known")
	require.Len(t, got.Edges, rollup.MaxSeries+1)
	require.Equal(t, rollup.EdgeCount{
		Parent: "other", Child: "other", ChildKind: conventions.KindService, Protocol: conventions.ProtocolUnknown, Calls: beyond,
	}, got.Edges[rollup.MaxSeries])
	require.Equal(t, "other", got.Passes[rollup.MaxSeries].Service)
}
