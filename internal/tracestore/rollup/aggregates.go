package rollup

import (
	"iter"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// The answers in the words of the contract. Each may be asked for once.

// Operations yields the series of an answer from Operations.
func (a *Answer) Operations() iter.Seq[tracestore.OperationAggregate] {
	return func(yield func(tracestore.OperationAggregate) bool) {
		a.each(func(k *key, r *row) bool {
			return yield(tracestore.OperationAggregate{
				Operation: a.operation(k, operationService, operationName), Version: a.text(k, operationVersion),
				Kind:  a.text(k, operationKind),
				Calls: signed(r.numbers[numCount]), Errors: signed(r.numbers[numErrors]), Roots: signed(r.numbers[numRoots]),
				Weight:   float64(r.numbers[numCount]) + float64(r.numbers[numExcess])/weightUnit,
				SelfTime: signed(r.numbers[numSelfTime]), CriticalPathTime: signed(r.numbers[numPathTime]),
				Durations: r.durations.distribution(),
			})
		})
	}
}

// Edges yields the series of an answer from Edges, but for those of which everything was retracted. The durations of a
// virtual peer's calls are among the others where they were retracted: a sketch does not give back what it counted.
func (a *Answer) Edges() iter.Seq[tracestore.EdgeAggregate] {
	return func(yield func(tracestore.EdgeAggregate) bool) {
		a.each(func(k *key, r *row) bool {
			calls, failed := r.left()
			if calls == 0 {
				return true
			}
			return yield(tracestore.EdgeAggregate{
				Parent: a.text(k, edgeParent), ParentOperation: a.text(k, edgeParentOperation),
				Child: a.text(k, edgeChild), ChildOperation: a.text(k, edgeChildOperation), ChildKind: a.text(k, edgeKind),
				Protocol: a.text(k, edgeProtocol), Calls: calls, Errors: failed, Durations: r.durations.distribution(),
			})
		})
	}
}

// Entries yields the series of an answer from Entries, those of all outcomes in one.
func (a *Answer) Entries() iter.Seq[tracestore.EntryAggregate] {
	return func(yield func(tracestore.EntryAggregate) bool) {
		var order []tracestore.Operation
		rows := make(map[tracestore.Operation]*row)
		outcomes := make(map[tracestore.Operation]map[string]int64)
		a.each(func(k *key, r *row) bool {
			entry := a.operation(k, entryService, entryOperation)
			if rows[entry] == nil {
				order = append(order, entry)
				rows[entry], outcomes[entry] = &row{}, make(map[string]int64)
			}
			rows[entry].merge(r)
			if traces, _ := r.left(); traces > 0 {
				outcomes[entry][a.text(k, entryOutcome)] += traces
			}
			return true
		})
		for _, entry := range order {
			r := rows[entry]
			traces, failed := r.left()
			if traces > 0 && !yield(tracestore.EntryAggregate{
				Operation: entry, Traces: traces, Errors: failed, Outcomes: outcomes[entry], Durations: r.durations.distribution(),
			}) {
				return
			}
		}
	}
}

// EntryOperations yields the series of an answer from EntryOperations.
func (a *Answer) EntryOperations() iter.Seq[tracestore.EntryOperationAggregate] {
	return func(yield func(tracestore.EntryOperationAggregate) bool) {
		a.each(func(k *key, r *row) bool {
			return yield(tracestore.EntryOperationAggregate{
				Entry:     a.operation(k, entryOpEntryService, entryOpEntryOperation),
				Operation: a.operation(k, entryOpService, entryOpOperation),
				Traces:    signed(r.numbers[numTraces]), Calls: signed(r.numbers[numCount]), Errors: signed(r.numbers[numErrors]),
				SelfTime: signed(r.numbers[numSelfTime]), CriticalPathTime: signed(r.numbers[numPathTime]),
			})
		})
	}
}

// Errors yields the series of an answer from Errors.
func (a *Answer) Errors() iter.Seq[tracestore.ErrorAggregate] {
	return func(yield func(tracestore.ErrorAggregate) bool) {
		a.each(func(k *key, r *row) bool {
			when := r.happened()
			failure := tracestore.ErrorAggregate{
				Fingerprint: a.text(k, errorFingerprint),
				Operation:   a.operation(k, errorService, errorOperation),
				Entry:       a.operation(k, errorEntryService, errorEntryOperation),
				Count:       signed(r.numbers[numCount]),
				First:       minuteStart(when.first), Last: minuteStart(when.last),
			}
			for _, id := range when.traces {
				failure.TraceIDs = append(failure.TraceIDs, id.String())
			}
			return yield(failure)
		})
	}
}

// Contrasts yields the series of an answer from Contrasts.
func (a *Answer) Contrasts() iter.Seq[tracestore.ContrastAggregate] {
	return func(yield func(tracestore.ContrastAggregate) bool) {
		a.each(func(k *key, r *row) bool {
			return yield(tracestore.ContrastAggregate{
				Entry:   a.operation(k, contrastEntryService, contrastEntryOperation),
				Service: a.text(k, contrastService), Key: a.text(k, contrastKey), Value: a.text(k, contrastValue),
				Traces: signed(r.numbers[numCount]), Errors: signed(r.numbers[numErrors]),
				Slow: signed(r.numbers[numSlow]), Judged: signed(r.numbers[numJudged]),
			})
		})
	}
}

// Completeness is an answer from Spans. Its Other is that of the table that counted most in its "other"; it is known for all
// environments together only.
func (a *Answer) Completeness() tracestore.Completeness {
	var total row
	a.each(func(_ *key, r *row) bool {
		total.merge(r)
		return true
	})
	c := tracestore.Completeness{
		Spans: signed(total.numbers[numCount]), Partial: signed(total.numbers[numPartial]),
		Unrepaired: difference(total.numbers[numOrphans], total.numbers[numRepaired]),
	}
	for t, count := range a.beyond {
		if Table(t) != Contrasts { // which counts traces, many times each
			c.Other = max(c.Other, signed(count))
		}
	}
	c.Other = min(c.Other, c.Spans) // a span counts more than once in Contexts
	return c
}

// left is how much is counted in a row of Edges or Entries and not retracted. A window may hold the retraction alone; then it is
// nothing.
func (r *row) left() (calls, failed int64) {
	return difference(r.numbers[numCount], r.numbers[numRetracted]), difference(r.numbers[numErrors], r.numbers[numRetractedErrors])
}

// difference is a − b as answers have it, 0 where b is larger.
func difference(a, b uint64) int64 {
	if b > a {
		return 0
	}
	return signed(a - b)
}

// stream yields what an answer holds once it is asked for, or the error of making it. each is one of Answer's methods.
func stream[T any](answer func() (*Answer, error), each func(*Answer) iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		a, err := answer()
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for aggregate := range each(a) {
			if !yield(aggregate, nil) {
				return
			}
		}
	}
}
