package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/analysis/tracediff"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// ErrNoCriticalPath says that a trace has no critical path, so that there is nothing to compare.
var ErrNoCriticalPath = errors.New("the trace has no critical path: none of its spans has a place in its tree")

// minUsualTraces is how many traces say what is usual of an entry.
const minUsualTraces = 30

// Comparison says what makes a trace longer or shorter than another one or than the usual one of its entry.
type Comparison struct {
	Trace *Trace
	// With is the other trace; nil where the trace is compared with the usual one.
	With *Trace
	// Usual says what the usual one is made of; nil where With stands.
	Usual *UsualTrace
	Diff  tracediff.Diff
}

// UsualTrace is what the traces of an entry are like in the mean.
type UsualTrace struct {
	// Window is that of the traces' release, in whole minutes.
	Window tracestore.AggregateQuery
	// Traces is how many there were, and Errors in how many something failed.
	Traces, Errors int64
	// Duration is the mean duration of their requests, nanoseconds, and FailedSpans how many spans of one failed in the mean.
	Duration, FailedSpans float64
	shape                 *tracediff.Shape
}

// NoUsualError says that too few traces of the entry were released before to say what is usual.
type NoUsualError struct {
	Entry  tracestore.Operation
	Traces int64
}

func (e *NoUsualError) Error() string {
	return fmt.Sprintf("%d traces of %s %q were released in the hour before; to say what is usual takes %d",
		e.Traces, e.Entry.Service, e.Entry.Operation, minUsualTraces)
}

// Compare compares a trace with another one, in at most limit parts. Errors: those of Trace, of which a *NotFoundError may be about either, and
// ErrNoCriticalPath.
func (s *Service) Compare(ctx context.Context, tenant string, id, with pcommon.TraceID, limit int) (*Comparison, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	this, err := s.readTrace(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	other := this
	if with != id {
		if other, err = s.readTrace(ctx, tenant, with); err != nil {
			return nil, err
		}
	}
	if this.Analysis.Tree.Entry < 0 || other.Analysis.Tree.Entry < 0 {
		return nil, ErrNoCriticalPath
	}
	return &Comparison{
		Trace: this, With: other, Diff: tracediff.Compare(tracediff.Read(this.Analysis), tracediff.Read(other.Analysis), limit),
	}, nil
}

// CompareWithUsual compares a trace with what those of its entry were like in the mean over the hour before its release, in at most limit
// parts, which are single operations: sums over many traces know of no paths. environment is that of AggregateQuery. Errors: those of Trace,
// ErrNoCriticalPath, and *NoUsualError.
func (s *Service) CompareWithUsual(
	ctx context.Context, tenant string, id pcommon.TraceID, environment *string, limit int,
) (*Comparison, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	this, err := s.readTrace(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if this.Analysis.Tree.Entry < 0 {
		return nil, ErrNoCriticalPath
	}
	usual, err := s.usualTrace(ctx, tenant, this, environment)
	if err != nil {
		return nil, fmt.Errorf("read what is usual of trace %s: %w", id, err)
	}
	return &Comparison{
		Trace: this, Usual: usual, Diff: tracediff.Compare(tracediff.Read(this.Analysis).ByOperation(), usual.shape, limit),
	}, nil
}

func (s *Service) usualTrace(ctx context.Context, tenant string, trace *Trace, environment *string) (*UsualTrace, error) {
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	at := trace.Release.ReleasedAt
	if at <= 0 {
		at = trace.Analysis.Start
	}
	end := time.Unix(0, max(at, int64(time.Hour))).UTC().Truncate(time.Minute)
	usual := &UsualTrace{
		Window: tracestore.AggregateQuery{Start: end.Add(-time.Hour), End: end, Environment: environment}, shape: new(tracediff.Shape),
	}
	entry := tracestore.Operation{Service: trace.Analysis.EntryService, Operation: trace.Analysis.EntryOperation}
	whole := int64(0) // those whose critical path is known
	for e, err := range reader.Entries(ctx, tenant, &usual.Window) {
		if err != nil {
			return nil, err
		}
		if e.Operation == entry {
			usual.Traces += e.Traces
			usual.Errors += e.Errors
			whole += e.Traces - e.Outcomes[conventions.OutcomePart] - e.Outcomes[conventions.OutcomeInterim]
		}
	}
	if whole < minUsualTraces {
		return nil, &NoUsualError{entry, whole}
	}
	for row, err := range reader.EntryOperations(ctx, tenant, &usual.Window) {
		if err != nil {
			return nil, err
		}
		if row.Entry != entry {
			continue
		}
		path := usual.shape.Path(tracediff.Root, tracediff.Operation{Service: row.Service, Operation: row.Operation.Operation})
		usual.shape.Add(path, tracediff.Sums{
			Calls: float64(row.Calls) / float64(usual.Traces), Errors: float64(row.Errors) / float64(usual.Traces),
			SelfTime: float64(row.SelfTime) / float64(usual.Traces), PathTime: float64(row.CriticalPathTime) / float64(whole),
		})
	}
	total := usual.shape.Total()
	usual.Duration, usual.FailedSpans = total.PathTime, total.Errors
	return usual, ctx.Err()
}
