package query

import (
	"context"
	"fmt"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// ContextAccuracies is how the trace context comes across to services.
type ContextAccuracies map[string]struct{ answered, all int64 }

// ContextAccuracies are those of the hour before now, by the service that is called. Errors: tracestore.ErrClosed, the context's, or the storage's
// own.
func (s *Service) ContextAccuracies(ctx context.Context, tenant string, now time.Time) (ContextAccuracies, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	storage, err := s.Storage()
	if err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	accuracies := make(ContextAccuracies)
	for pair, err := range storage.Contexts(ctx, tenant, &tracestore.AggregateQuery{Start: now.Add(-time.Hour), End: now}) {
		if err != nil {
			return nil, fmt.Errorf("read contexts: %w", err)
		}
		if pair.Parent == "" || pair.Parent == pair.Child {
			continue
		}
		of := accuracies[pair.Child]
		of.answered += pair.Calls
		of.all += pair.Calls + pair.Unanswered
		accuracies[pair.Child] = of
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	return accuracies, nil
}

// Of is the share of the calls to some services that their spans answer, nil where there were no calls.
func (a ContextAccuracies) Of(services []string) *float64 {
	answered, all := int64(0), int64(0)
	for _, service := range services {
		answered += a[service].answered
		all += a[service].all
	}
	if all == 0 {
		return nil
	}
	share := float64(answered) / float64(all)
	return &share
}
