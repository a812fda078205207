package query

import (
	"github.com/tracewright/tracewright/internal/tracestore"
)

// mergeDurations adds the distribution from to into, which may be nil, and returns the sum. into is changed, from is not.
func mergeDurations(into, from tracestore.Durations) (tracestore.Durations, error) {
	if from == nil {
		return into, nil
	}
	if into == nil {
		return from.Copy(), nil
	}
	return into, into.MergeWith(from)
}
