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
				Operation: a.operation(k, operationService, operationName), Kind: a.text(k, operationKind),
				Calls: signed(r.numbers[numCount]), Errors: signed(r.numbers[numErrors]),
				SelfTime: signed(r.numbers[numSelfTime]), CriticalPathTime: signed(r.numbers[numPathTime]),
				Durations: r.durations.distribution(),
			})
		})
	}
}

// Edges yields the series of an answer from Edges.
func (a *Answer) Edges() iter.Seq[tracestore.EdgeAggregate] {
	return func(yield func(tracestore.EdgeAggregate) bool) {
		a.each(func(k *key, r *row) bool {
			return yield(tracestore.EdgeAggregate{
				Parent: a.text(k, edgeParent), Child: a.text(k, edgeChild), ChildKind: a.text(k, edgeKind),
				Protocol: a.text(k, edgeProtocol), Calls: signed(r.numbers[numCount]), Errors: signed(r.numbers[numErrors]),
				Durations: r.durations.distribution(),
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
			outcomes[entry][a.text(k, entryOutcome)] += signed(r.numbers[numCount])
			return true
		})
		for _, entry := range order {
			r := rows[entry]
			if !yield(tracestore.EntryAggregate{
				Operation: entry, Traces: signed(r.numbers[numCount]), Errors: signed(r.numbers[numErrors]),
				Outcomes: outcomes[entry], Durations: r.durations.distribution(),
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
		Unrepaired: signed(total.numbers[numUnrepaired]),
	}
	for _, count := range a.beyond {
		c.Other = max(c.Other, signed(count))
	}
	return c
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
