package rollup

import (
	"math"
	"time"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// maxAnswerSeries bounds an answer over many minutes; what is beyond stands in its "other".
	maxAnswerSeries = 10 * MaxSeries
	// otherName stands for the services and operations of the series beyond a limit.
	otherName = "other"
)

// Answer adds up what a query asks of one table: the series that match, all environments and versions of them in one. What went
// beyond the limit of a minute stands in the series "other", unless the query names an environment or a service: whose it is
// is not known.
type Answer struct {
	query  *tracestore.AggregateQuery
	table  Table
	sums   *Sums
	beyond [others]uint64 // what each table counted in its "other"
	// dropped are the columns that are summed away.
	dropped []int
	// peers are, of Contexts, the names under which a parent calls a child.
	peers map[link]map[uint32]bool
}

// NewAnswer makes an empty answer from the table. The caller merges the values of the query's window (see Window).
func NewAnswer(table Table, query *tracestore.AggregateQuery) *Answer {
	a := &Answer{query: query, table: table, sums: NewSums(maxAnswerSeries), dropped: []int{colEnvironment}}
	switch {
	case table == Operations && !query.ByVersion:
		a.dropped = append(a.dropped, operationVersion)
	case table == Edges && !query.ByOperation:
		a.dropped = append(a.dropped, edgeParentOperation, edgeChildOperation)
	}
	return a
}

// Merge adds a value that Sums.Append wrote: all of a minute. After ErrValue the answer is what it was before.
func (a *Answer) Merge(encoded []byte) error {
	v, err := open(encoded)
	if err != nil {
		return err
	}
	defer v.close()
	v.bare = a.query.NoDurations
	filter := a.filter(v)
	names := translator{from: v.strings, to: &a.sums.strings}
	if a.table == Contexts {
		a.mergeContexts(v, &filter, &names)
		return nil
	}
	into := &a.sums.tables[a.table]
	v.visit(Of(a.table), filter.match, func(t Table, k *key, r *row) {
		if k == nil {
			into.beyond().merge(r)
			return
		}
		own := *k
		for _, column := range a.dropped {
			own[column] = 0
		}
		own = names.key(t, &own)
		into.at(&own).merge(r)
	}, func(t Table, count uint64) { a.beyond[t] = sum(a.beyond[t], count) })
	return nil
}

// filter is a query's conditions in the numbers of one value.
type filter struct {
	set         bool
	environment int64 // absent where the value does not have it, anyone for all
	service     int64
	services    []int // columns, of which one must be service
}

const (
	anyone = -1
	absent = -2
)

func (a *Answer) filter(v *value) filter {
	f := filter{environment: anyone, service: anyone, services: shapes[a.table].services}
	if environment := a.query.Environment; environment != nil {
		f.set, f.environment = true, v.find(*environment)
	}
	if a.query.Service != "" && len(f.services) > 0 {
		f.set, f.service = true, v.find(a.query.Service)
	}
	return f
}

// find is the number of a string in the value, or absent.
func (v *value) find(s string) int64 {
	if s == "" {
		return 0
	}
	for i, b := range v.strings {
		if string(b) == s {
			return int64(i) + 1
		}
	}
	return absent
}

// match says whether a series is asked for. Of "other" nobody knows whose it is.
func (f *filter) match(k *key) bool {
	if k == nil {
		return !f.set
	}
	if f.environment != anyone && f.environment != int64(k[colEnvironment]) {
		return false
	}
	if f.service == anyone {
		return true
	}
	for _, column := range f.services {
		if f.service == int64(k[column]) {
			return true
		}
	}
	return false
}

// each calls f for every series until it returns false. "other" is one of them.
func (a *Answer) each(f func(k *key, r *row) bool) {
	t := &a.sums.tables[a.table]
	if t.other != nil {
		// A service may be called so: its series and "other" are one.
		t.limit++
		k := a.otherKey()
		t.at(&k).merge(t.other)
		t.other = nil
	}
	for i := range t.keys {
		if !f(&t.keys[i], &t.rows[i]) {
			return
		}
	}
}

func (a *Answer) otherKey() (k key) {
	for column := range shapes[a.table].columns {
		k[column] = a.sums.strings.id(otherName)
	}
	for _, column := range a.dropped {
		k[column] = 0
	}
	switch a.table {
	case Operations:
		k[operationKind] = a.sums.strings.id(kinds[0])
	case Edges:
		k[edgeKind] = a.sums.strings.id(conventions.KindService)
		k[edgeProtocol] = a.sums.strings.id(conventions.ProtocolUnknown)
	}
	return k
}

func (a *Answer) text(k *key, column int) string { return a.sums.strings.text(k[column]) }

func (a *Answer) operation(k *key, service, operation int) tracestore.Operation {
	return tracestore.Operation{Service: a.text(k, service), Operation: a.text(k, operation)}
}

// signed is a sum as answers have it.
func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// minuteStart is when a minute begins.
func minuteStart(minute uint32) time.Time { return time.Unix(int64(minute)*60, 0).UTC() }
