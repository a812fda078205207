package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/cost"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Service answers queries. It is safe for concurrent use.
type Service struct {
	// Storage returns the backend, or tracestore.ErrClosed. It is called for every query, because the storage's
	// extension may start after and stop before this one.
	Storage func() (tracestore.Backend, error)
	// Graph returns the map of services that is read, or servicemap.ErrClosed. Nil where the storage's rollups are.
	Graph func() (servicemap.Reader, error)
	// InFlight knows the traces that are not stored yet.
	InFlight *InFlight
	// Timeout bounds the reading of the storage for one query; a query that meets it fails with
	// context.DeadlineExceeded.
	Timeout time.Duration
	// Prices are what a busy second of each service costs, in Currency; nil for costs that nobody knows.
	Prices   cost.Prices
	Currency string
	// Memory bounds the traces that requests hold, those whose context is of Memory.Begin.
	Memory Memory

	usual  usual
	recent recent
	tails  tailCount
}

// Trace is one trace, joined from all its releases and explained. It belongs to the caller.
type Trace struct {
	ID pcommon.TraceID
	// Spans holds the joined spans, grouped by resource and scope.
	Spans ptrace.Traces
	// Release refers into Spans.
	Release tracetree.Release
	// Releases is how many releases were joined, and Repeated how many of their spans stood in them before.
	Releases, Repeated int
	// Truncated says that the trace is larger than Memory.PerRequest: what was released last is not among the spans.
	Truncated bool
	// Analysis refers into Spans. It is made when the trace is read, so that a late span is never missing from it.
	Analysis *analysis.Result
	// UsualSelfTime is what a span of the bottleneck's operation takes itself, in the mean over the hour before, in
	// nanoseconds; 0 where that is not known.
	UsualSelfTime int64

	size     int // as OTLP protobuf
	leeways  lazy[[]analysis.Leeway]
	findings lazy[[]analysis.Finding]
	origins  lazy[[]analysis.Origin]
	order    lazy[[]int]
}

// NotFoundError says that a trace is not stored. It is a tracestore.ErrNotFound.
type NotFoundError struct {
	ID pcommon.TraceID
	// InFlight says that the trace is being assembled right now; it means something only where InFlightKnown, that is
	// where a stage that assembles can be asked.
	InFlight, InFlightKnown bool
}

func (e *NotFoundError) Error() string {
	if e.InFlight {
		return fmt.Sprintf("trace %s is still being assembled", e.ID)
	}
	return fmt.Sprintf("trace %s is not stored", e.ID)
}

func (e *NotFoundError) Unwrap() error { return tracestore.ErrNotFound }

// Trace reads and explains one trace. Errors: *NotFoundError, tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Trace(ctx context.Context, tenant string, id pcommon.TraceID) (*Trace, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	trace, err := s.readTrace(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	trace.UsualSelfTime = s.usualSelfTime(ctx, tenant, trace)
	return trace, nil
}

// TraceForView is Trace for whoever wants a part of it only: it may be as it was some seconds ago where it is large. It is shared and must not be
// changed.
func (s *Service) TraceForView(ctx context.Context, tenant string, id pcommon.TraceID) (*Trace, error) {
	known, deletions := s.recent.get(tenant, id)
	if known != nil {
		return known, nil
	}
	trace, err := s.Trace(ctx, tenant, id)
	if err == nil {
		s.recent.put(tenant, trace, deletions)
	}
	return trace, err
}

// readTrace is Trace without what is usual.
func (s *Service) readTrace(ctx context.Context, tenant string, id pcommon.TraceID) (*Trace, error) {
	storage, err := s.Storage()
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", id, err)
	}
	releases, size, truncated, err := readReleases(ctx, storage, tenant, id)
	if errors.Is(err, tracestore.ErrNotFound) {
		holds, known := s.InFlight.Holds(ctx, tenant, id)
		if known && !holds { // it may have been stored between the two questions
			releases, size, truncated, err = readReleases(ctx, storage, tenant, id)
		}
		if errors.Is(err, tracestore.ErrNotFound) {
			return nil, &NotFoundError{ID: id, InFlight: holds, InFlightKnown: known}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", id, err)
	}
	trace := &Trace{ID: id, Truncated: truncated, Releases: len(releases), size: size}
	for _, release := range releases {
		trace.Repeated += release.SpanCount()
	}
	trace.Spans, trace.Release = tracetree.Join(releases)
	trace.Repeated -= len(trace.Release.Spans)
	trace.Analysis = analysis.Analyze(&trace.Release)
	return trace, nil
}

// readReleases reads the trace's releases, in their order, until they are more than Memory.PerRequest. That is of this trace alone: a request that
// compares two is not to find one of them cut for the size of the other.
func readReleases(
	ctx context.Context, storage tracestore.Reader, tenant string, id pcommon.TraceID,
) (releases []ptrace.Traces, size int, truncated bool, err error) {
	share := shareOf(ctx)
	for release, err := range storage.Trace(ctx, tenant, id) {
		if err != nil {
			return nil, 0, false, err
		}
		if int64(size) > share.memory.PerRequest {
			truncated = true
			break
		}
		bytes := (&ptrace.ProtoMarshaler{}).TracesSize(release)
		if err := share.take(int64(bytes)); err != nil {
			return nil, 0, false, err
		}
		size += bytes
		releases = append(releases, release)
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, false, err
	}
	if len(releases) == 0 {
		return nil, 0, false, tracestore.ErrNotFound
	}
	return releases, size, truncated, nil
}

// Findings names the patterns in the trace.
func (t *Trace) Findings() []analysis.Finding {
	return t.findings.get(func() []analysis.Finding { return analysis.FindPatterns(t.Analysis) })
}

// Origins tells where failures began, and how far they went.
func (t *Trace) Origins() []analysis.Origin {
	return t.origins.get(func() []analysis.Origin { return analysis.FindOrigins(t.Analysis) })
}

// Leeways says of each span what there is to gain.
func (t *Trace) Leeways() []analysis.Leeway { return t.leeways.get(t.Analysis.Leeways) }

// StartOrder lists the spans (node indexes) by start, parents before their children. The list belongs to the trace.
func (t *Trace) StartOrder() []int {
	return t.order.get(func() []int { return startOrder(t.Analysis.Tree) })
}

// Annotate writes the trace's analysis on its spans, in place of what was written at ingest.
func (t *Trace) Annotate() { analysis.Annotate(&t.Release, t.Analysis) }

// Search answers one page: the first where cursor is nil, else the one after it, in the cursor's window. next is nil on
// the last page. query's Cursor and Deadline are set by Search. Errors: tracestore.ErrCursor, tracestore.ErrClosed, the context's, or the
// storage's own.
func (s *Service) Search(
	ctx context.Context, tenant string, query *tracestore.SearchQuery, cursor *Cursor,
) (page tracestore.SearchPage, next *Cursor, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	if cursor != nil {
		query.Start, query.End, query.Cursor = cursor.Start, cursor.End, cursor.storage
	}
	// Before the query fails, it answers what it has.
	query.Deadline = time.Now().Add(s.Timeout * 3 / 4)
	storage, err := s.Storage()
	if err != nil {
		return page, nil, fmt.Errorf("search: %w", err)
	}
	page, err = storage.Search(ctx, tenant, query)
	if err != nil {
		return page, nil, fmt.Errorf("search: %w", err)
	}
	if page.NextCursor != "" {
		next = &Cursor{Start: query.Start, End: query.End, storage: page.NextCursor}
	}
	return page, next, nil
}
