package traceassemblyprocessor

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
)

// testCall is a call of two releases; the second one is late.
func testCall() *call {
	held := func(id uint64, record uint32, index uint32, kind ptrace.SpanKind) heldSpan {
		return heldSpan{id: spanID(id), times: uint32(id) + 7, kind: kind, ref: spanRef{journal.Position{Segment: 3, Offset: record}, index}}
	}
	whole := contents{spans: []heldSpan{held(1, 16, 0, ptrace.SpanKindServer), held(2, 16, 5, ptrace.SpanKindClient)}}
	whole.patch(&whole.spans[0]).putStr(conventions.AttrOutcome, conventions.OutcomeComplete)
	whole.patch(&whole.spans[0]).putInt(conventions.AttrVersion, 1)
	whole.patch(&whole.spans[0]).put(patch{key: conventions.AttrChildService, kind: pcommon.ValueTypeSlice, list: []patch{{kind: pcommon.ValueTypeStr, str: "shop"}}})
	late := contents{spans: []heldSpan{held(3, 900, 1, ptrace.SpanKindServer)}}
	late.spans[0].conflict = true
	late.spans[0].failed = true
	late.patch(&late.spans[0]).putBool(conventions.AttrOrphan, true)
	shop, web := &symbol[operation]{name: operation{"shop", "order"}}, &symbol[operation]{name: operation{"web", "GET /"}}
	entry := &symbol[endpoint]{name: endpoint{operation: web.name, environment: "prod"}}
	peer := &symbol[endpoint]{name: endpoint{operation: operation{service: "db"}, kind: "database", protocol: "mysql"}}
	return &call{releasedAt: 1_700_000_000_000_000_001, spans: 3, releases: []*release{
		{key: traceKey{"", traceID(1)}, contents: whole, memory: &remembered{
			version: 1, counted: 2, failed: true, rooted: true, rootStart: 5, entry: entry, operations: []*symbol[operation]{web, web},
			missing: []missedParent{{missingParent{id: spanID(77), duration: -4, calls: 3, failed: true}, entry}},
			peers:   []knownPeer{{1, peer}},
		}},
		{key: traceKey{"tenant-1", traceID(2)}, contents: late, memory: &remembered{
			partial: true, open: true, version: 4, entry: entry, operations: []*symbol[operation]{shop}, retracted: []retraction{{spanID(9), 3}},
		}},
	}}
}

func TestIntentRoundTrip(t *testing.T) {
	record := encodeIntent(testCall())
	c, err := decodeCalls(record)
	require.NoError(t, err)
	in := c.intent
	require.EqualValues(t, 1_700_000_000_000_000_001, in.releasedAt)
	require.Equal(t, 3, in.spans)
	require.Len(t, in.releases, 2)
	whole, late := in.releases[0], in.releases[1]
	require.Equal(t, traceKey{"", traceID(1)}, whole.key)
	require.Equal(t, *testCall().releases[0].memory, whole.remembered)
	require.Equal(t, []intendedSpan{
		{
			ref:   spanRef{journal.Position{Segment: 3, Offset: 16}, 0},
			bones: skeletonSpan{id: spanID(1), times: 8, kind: uint8(ptrace.SpanKindServer)},
			patch: []patch{
				{key: conventions.AttrOutcome, kind: pcommon.ValueTypeStr, str: conventions.OutcomeComplete},
				{key: conventions.AttrVersion, kind: pcommon.ValueTypeInt, num: 1},
				{key: conventions.AttrChildService, kind: pcommon.ValueTypeSlice, list: []patch{{kind: pcommon.ValueTypeStr, str: "shop"}}},
			},
		},
		{
			ref:   spanRef{journal.Position{Segment: 3, Offset: 16}, 5},
			bones: skeletonSpan{id: spanID(2), times: 9, kind: uint8(ptrace.SpanKindClient)},
		},
	}, whole.spans)
	require.Equal(t, traceKey{"tenant-1", traceID(2)}, late.key)
	require.Equal(t, *testCall().releases[1].memory, late.remembered)
	require.Equal(t, []intendedSpan{{
		ref:   spanRef{journal.Position{Segment: 3, Offset: 900}, 1},
		bones: skeletonSpan{id: spanID(3), times: 10, kind: uint8(ptrace.SpanKindServer), failed: true, conflict: true},
		patch: []patch{{key: conventions.AttrOrphan, kind: pcommon.ValueTypeBool, num: 1}},
	}}, late.spans)

	for n := range record {
		_, err := decodeCalls(record[:n])
		require.ErrorIs(t, err, errRecord, "cut at %d", n)
	}
	c, err = decodeCalls(encodeMark(journal.Position{Segment: 4, Offset: 99}))
	require.NoError(t, err)
	require.Equal(t, callsRecord{mark: journal.Position{Segment: 4, Offset: 99}}, c)
	dropped := []spanRef{{journal.Position{Segment: 4, Offset: 99}, 300}, {journal.Position{Segment: 5, Offset: 16}, 0}}
	c, err = decodeCalls(encodeDropped(dropped))
	require.NoError(t, err)
	require.Equal(t, callsRecord{dropped: dropped}, c)
}

func TestArrivalRoundTrip(t *testing.T) {
	sent, err := encodeTraces(request(testSpan{trace: 1, id: 1}))
	require.NoError(t, err)
	record := encodeArrival("tenant-1", sent)
	tenant, again, err := decodeArrival(*record)
	require.NoError(t, err)
	require.Equal(t, "tenant-1", tenant)
	require.Equal(t, sent, again)
	_, _, err = decodeArrival([]byte{arrivalVersion + 1, 0})
	require.ErrorIs(t, err, errRecord)
}

// FuzzRecords reads whatever stands in the journal.
func FuzzRecords(f *testing.F) {
	f.Add(encodeIntent(testCall()))
	f.Add(encodeMark(journal.Position{Segment: 4, Offset: 99}))
	f.Add(encodeDropped([]spanRef{{journal.Position{Segment: 4, Offset: 99}, 300}}))
	sent, err := encodeTraces(request(testSpan{trace: 1, id: 1}))
	require.NoError(f, err)
	f.Add(*encodeArrival("tenant-1", sent))
	f.Fuzz(func(_ *testing.T, record []byte) {
		if c, err := decodeCalls(record); err == nil && c.intent != nil {
			td := ptrace.NewTraces()
			for i := range c.intent.releases {
				for j := range c.intent.releases[i].spans {
					c.intent.releases[i].spans[j].patch.apply(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
				}
			}
		}
		_, _, _ = decodeArrival(record)
	})
}

// TestIntentNames keeps a name of an intent, as skeletons and what is learned do: it does not keep the whole intent.
func TestIntentNames(t *testing.T) {
	c := testCall()
	first := c.releases[0]
	for range 100_000 {
		first.spans = append(first.spans, first.spans[1])
		first.memory.operations = append(first.memory.operations, first.memory.operations[1])
	}
	record := encodeIntent(c)
	require.Greater(t, len(record), 1<<20)
	before := heapInUse()
	decoded, err := decodeCalls(record)
	require.NoError(t, err)
	name := decoded.intent.releases[0].operations[0].name
	tenant := decoded.intent.releases[1].key.tenant
	decoded = callsRecord{}
	require.Less(t, heapInUse()-before, int64(64<<10))
	require.Equal(t, operation{"web", "GET /"}, name)
	require.Equal(t, "tenant-1", tenant)
	runtime.KeepAlive(record)
}
