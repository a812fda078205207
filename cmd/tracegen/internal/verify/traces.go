package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/truth"
)

// tenantRun is what a run sent as one tenant, and how far its verification came.
type tenantRun struct {
	client     *client
	onlyTraces bool
	sent       map[string]*truth.Trace
	// first and last are the first and last start of a trace.
	first, last time.Time
	// pending are the traces that were not answered right yet, by id.
	pending    map[string]problem
	edges      map[string]counts
	operations map[string]counts
}

// problem is what is wrong with a trace.
type problem struct {
	kind   problemKind
	detail string
}

type problemKind int

const (
	missing problemKind = iota
	partial
	differing
)

func (t *tenantRun) addTrace(trace *truth.Trace) {
	t.sent[trace.TraceID] = trace
	t.pending[trace.TraceID] = problem{missing, trace.TraceID}
	if t.first.IsZero() || trace.Start.Before(t.first) {
		t.first = trace.Start
	}
	if trace.Start.After(t.last) {
		t.last = trace.Start
	}
}

// readTraces reads the pending traces by their ids.
func (t *tenantRun) readTraces(ctx context.Context, concurrency int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ids := make(chan string)
	var mu sync.Mutex // guards found
	found := map[string]*problem{}
	var readers sync.WaitGroup
	for range concurrency {
		readers.Go(func() {
			for id := range ids {
				p, err := t.readTrace(ctx, id)
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				found[id] = p
				mu.Unlock()
			}
		})
	}
	for id := range t.pending {
		select {
		case ids <- id:
		case <-ctx.Done():
		}
	}
	close(ids)
	readers.Wait()
	for id, p := range found {
		if p == nil {
			delete(t.pending, id)
		} else {
			t.pending[id] = *p
		}
	}
	return context.Cause(ctx)
}

// readTrace returns nil where the answer is right.
func (t *tenantRun) readTrace(ctx context.Context, id string) (*problem, error) {
	got, err := t.client.trace(ctx, id)
	if errors.Is(err, errNotFound) {
		return &problem{missing, id}, nil
	}
	if err != nil {
		return nil, err
	}
	return compareTrace(t.sent[id], got), nil
}

func compareTrace(want *truth.Trace, got *trace) *problem {
	if got.SpanCount < want.Spans {
		return &problem{partial, fmt.Sprintf("%s: %d spans of %d", want.TraceID, got.SpanCount, want.Spans)}
	}
	for _, member := range []struct {
		name      string
		got, want any
	}{
		{"span_count", got.SpanCount, want.Spans},
		{"error_count", got.ErrorCount, want.Errors},
		{"entry.service", got.Entry.Service, want.Entry.Service},
		{"entry.operation", got.Entry.Operation, want.Entry.Operation},
		{"start", got.Start.UnixNano(), want.Start.UnixNano()},
		{"duration_ns", got.Duration, want.Duration},
	} {
		if member.got != member.want {
			return &problem{differing, fmt.Sprintf("%s: %s is %v, sent %v", want.TraceID, member.name, member.got, member.want)}
		}
	}
	return nil
}

func (t *tenantRun) reportTraces(report *Report) {
	report.Traces += len(t.sent)
	report.Found += len(t.sent) - len(t.pending)
	for _, id := range slices.Sorted(maps.Keys(t.pending)) {
		p := t.pending[id]
		switch p.kind {
		case missing:
			report.Missing++
			report.detail("missing", p.detail)
		case partial:
			report.Partial++
			report.detail("partial", p.detail)
		default:
			report.Differing++
			report.detail("differs", p.detail)
		}
	}
}

// search pages through all traces of the run's window: those that the run did not send are surplus, the rows must say the same as the traces,
// and no trace has two.
func (t *tenantRun) search(ctx context.Context, report *Report) error {
	cursor := ""
	listed, cursors := map[string]bool{}, map[string]bool{}
	for {
		page, err := t.client.search(ctx, t.first, t.last.Add(time.Millisecond), cursor)
		if err != nil {
			return err
		}
		for i := range page.Traces {
			row := &page.Traces[i]
			if listed[row.TraceID] {
				report.Differing++
				report.detail("differs", "in the search: "+row.TraceID+" is there again")
				continue
			}
			listed[row.TraceID] = true
			want := t.sent[row.TraceID]
			if want == nil {
				report.Surplus++
				report.detail("surplus", row.TraceID)
				continue
			}
			report.Searched++
			if _, known := t.pending[row.TraceID]; known {
				continue // reported already
			}
			if p := compareTrace(want, row); p != nil {
				report.Differing++
				report.detail("differs", "in the search: "+p.detail)
			}
		}
		if cursor = page.NextCursor; cursor == "" { // else the search goes on where it stopped
			report.Truncated = report.Truncated || page.Truncated
			return nil
		}
		if cursors[cursor] {
			return fmt.Errorf("the cursor %q comes again after %d traces: the search has no end", cursor, len(listed))
		}
		cursors[cursor] = true
	}
}
