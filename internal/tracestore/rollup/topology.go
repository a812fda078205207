package rollup

import (
	"math"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Topology is what a delta says of services: who calls whom, and through which of them the requests of each entry pass. It is
// made of the rollups with all operations and versions of a service in one. What went beyond a table's limit stands in it under
// the name "other". The numbers of late releases may be below zero: they take back what earlier ones counted.
type Topology struct {
	Services []ServiceCount
	Edges    []EdgeCount
	Entries  []EntryCount
	Passes   []PassCount
}

// ServiceCount is what a service answered: its server and consumer spans, 0 for a service that has others only.
type ServiceCount struct {
	Environment, Service string
	Calls, Errors        int64
}

// EdgeCount is the calls of one service to another, or to a virtual peer (tracestore.EdgeAggregate).
type EdgeCount struct {
	Environment, Parent, Child, ChildKind, Protocol string
	Calls, Errors                                   int64
}

// EntryCount is the traces of one entry.
type EntryCount struct {
	Environment    string
	Entry          tracestore.Operation
	Traces, Errors int64
}

// PassCount is how many traces of an entry pass through a service: those that pass through the operation of it that most do, and
// at most those that pass through any, each counted for itself.
type PassCount struct {
	Environment     string
	Entry           tracestore.Operation
	Service         string
	AtLeast, AtMost int64
}

// Topology is made of the delta, which stays as it is. Its order follows that of the spans in the call.
func (d *Delta) Topology() *Topology {
	return &Topology{d.services(), d.edges(), d.entries(), d.passes()}
}

// grouped adds the series of a table up to groups, in the order in which these first come.
func grouped[T comparable](s *Sums, t Table, group func(text func(column int) string) T, add func(to *T, columns key, r *row)) []T {
	var list []T
	places := make(map[T]int)
	visit := func(k key, text func(int) string, r *row) {
		one := group(text)
		at, known := places[one]
		if !known {
			at = len(list)
			places[one] = at
			list = append(list, one)
		}
		add(&list[at], k, r)
	}
	table := &s.tables[t]
	for i := range table.keys {
		k := table.keys[i]
		visit(k, func(column int) string { return s.strings.text(k[column]) }, &table.rows[i])
	}
	if table.other != nil {
		visit(key{}, func(column int) string { return otherText(t, column) }, table.other)
	}
	return list
}

// otherText is what stands in a column of the series "other"; see Answer.otherKey.
func otherText(t Table, column int) string {
	switch {
	case column == colEnvironment:
		return ""
	case t == Edges && column == edgeKind:
		return conventions.KindService
	case t == Edges && column == edgeProtocol:
		return conventions.ProtocolUnknown
	case t == Operations && column == operationKind:
		return kinds[0]
	}
	return otherName
}

func (d *Delta) services() []ServiceCount {
	server, consumer := d.Sums.strings.ids["server"], d.Sums.strings.ids["consumer"]
	return grouped(d.Sums, Operations, func(text func(int) string) ServiceCount {
		return ServiceCount{Environment: text(colEnvironment), Service: text(operationService)}
	}, func(to *ServiceCount, k key, r *row) {
		if kind := k[operationKind]; kind != 0 && (kind == server || kind == consumer) {
			to.Calls, to.Errors = to.Calls+signed(r.numbers[numCount]), to.Errors+signed(r.numbers[numErrors])
		}
	})
}

func (d *Delta) edges() []EdgeCount {
	return grouped(d.Sums, Edges, func(text func(int) string) EdgeCount {
		return EdgeCount{
			Environment: text(colEnvironment), Parent: text(edgeParent), Child: text(edgeChild), ChildKind: text(edgeKind), Protocol: text(edgeProtocol),
		}
	}, func(to *EdgeCount, _ key, r *row) {
		calls, failed := r.net()
		to.Calls, to.Errors = to.Calls+calls, to.Errors+failed
	})
}

func (d *Delta) entries() []EntryCount {
	return grouped(d.Sums, Entries, func(text func(int) string) EntryCount {
		return EntryCount{Environment: text(colEnvironment), Entry: tracestore.Operation{Service: text(entryService), Operation: text(entryOperation)}}
	}, func(to *EntryCount, _ key, r *row) {
		traces, failed := r.net()
		to.Traces, to.Errors = to.Traces+traces, to.Errors+failed
	})
}

func (d *Delta) passes() []PassCount {
	return grouped(d.Sums, EntryOperations, func(text func(int) string) PassCount {
		return PassCount{
			Environment: text(colEnvironment), Service: text(entryOpService),
			Entry: tracestore.Operation{Service: text(entryOpEntryService), Operation: text(entryOpEntryOperation)},
		}
	}, func(to *PassCount, _ key, r *row) {
		traces := signed(r.numbers[numTraces])
		to.AtLeast, to.AtMost = max(to.AtLeast, traces), to.AtMost+traces
	})
}

// net is what a row of Edges or Entries counts, less what it takes back.
func (r *row) net() (calls, failed int64) {
	return minus(r.numbers[numCount], r.numbers[numRetracted]), minus(r.numbers[numErrors], r.numbers[numRetractedErrors])
}

// minus is a − b.
func minus(a, b uint64) int64 {
	if a < b {
		return -int64(min(b-a, math.MaxInt64))
	}
	return signed(a - b)
}
