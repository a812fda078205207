// Package truth is what a run sent, as a reader should see it: the file that tracegen --expect writes and tracegen verify
// reads, and the sums over visits that it holds.
package truth

import (
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// EdgeKey names an edge of the service map.
type EdgeKey struct {
	Tenant, Parent, Child, Protocol string
	// Kind is that of the child: a service, or a virtual peer (database, queue, external) that sends no spans.
	Kind shop.NodeKind
}

// OperationKey names an operation. Kind is in lower case: server, client, ….
type OperationKey struct {
	Tenant, Service, Operation, Kind string
}

// EntryKey names an operation at which traces begin.
type EntryKey struct {
	Tenant, Service, Operation string
}

// Counts of an edge or an operation.
type Counts struct {
	Calls, Errors int64
	// Unanswered counts CLIENT spans to a service of the shop without a SERVER span in their trace. They are no calls.
	Unanswered int64
}

// EntryCounts of an entry: its traces, and those whose entry span failed.
type EntryCounts struct {
	Traces, Errors int64
}

// Tally sums up visits. Tenants names the tenants; nil for a run without.
type Tally struct {
	Tenants    []string
	Edges      map[EdgeKey]Counts
	Operations map[OperationKey]Counts
	Entries    map[EntryKey]EntryCounts
	Traces     int64
	Spans      int64
}

// NewTally makes an empty tally.
func NewTally(tenants []string) *Tally {
	return &Tally{
		Tenants: tenants, Edges: map[EdgeKey]Counts{}, Operations: map[OperationKey]Counts{}, Entries: map[EntryKey]EntryCounts{},
	}
}

// Tenant is the name of a visit's tenant.
func (t *Tally) Tenant(v *shop.Visit) string {
	if len(t.Tenants) == 0 {
		return ""
	}
	return t.Tenants[v.Tenant]
}

// Add adds a visit that was made the given number of times.
func (t *Tally) Add(v *shop.Visit, times int64) {
	tenant := t.Tenant(v)
	for i := range v.Traces {
		root := &v.Spans[v.Traces[i].Root]
		key := EntryKey{tenant, serviceName(root), root.Name}
		entry := t.Entries[key]
		entry.Traces += times
		entry.Errors += failed(root) * times
		t.Entries[key] = entry
		t.Traces += times
	}
	answered := make([]bool, len(v.Spans))
	for i := range v.Spans {
		span := &v.Spans[i]
		key := OperationKey{tenant, serviceName(span), span.Name, span.Kind.String()}
		t.Operations[key] = add(t.Operations[key], Counts{Calls: times, Errors: failed(span) * times})
		if span.Parent < 0 || v.Spans[span.Parent].Service == span.Service {
			continue
		}
		answered[span.Parent] = true
		t.edge(EdgeKey{tenant, serviceName(&v.Spans[span.Parent]), serviceName(span), span.Protocol, shop.NodeService},
			Counts{Calls: times, Errors: failed(span) * times})
	}
	for i := range v.Spans {
		span := &v.Spans[i]
		if answered[i] || span.Kind != shop.Client && span.Kind != shop.Producer {
			continue
		}
		peer, kind := span.Target()
		counts := Counts{Calls: times, Errors: failed(span) * times}
		if kind == shop.NodeService {
			counts = Counts{Unanswered: times}
		}
		t.edge(EdgeKey{tenant, serviceName(span), peer, span.Protocol, kind}, counts)
	}
	t.Spans += int64(len(v.Spans)) * times
}

func (t *Tally) edge(key EdgeKey, counts Counts) { t.Edges[key] = add(t.Edges[key], counts) }

func add(a, b Counts) Counts {
	return Counts{a.Calls + b.Calls, a.Errors + b.Errors, a.Unanswered + b.Unanswered}
}

func serviceName(span *shop.Span) string { return shop.Services()[span.Service].Name }

func failed(span *shop.Span) int64 {
	if span.Failed {
		return 1
	}
	return 0
}
