package pebblestore

import (
	"context"
	"fmt"
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Trace implements tracestore.Reader. A release that cannot be read ends the sequence with an error that names the trace.
func (s *Store) Trace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		if err := s.enter(); err != nil {
			yield(ptrace.Traces{}, err)
			return
		}
		defer s.leave()
		if err := s.yieldReleases(ctx, tenant, id, yield); err != nil {
			yield(ptrace.Traces{}, err)
		}
	}
}

// yieldReleases ends early, with nil, where yield wants no more.
func (s *Store) yieldReleases(ctx context.Context, tenant string, id pcommon.TraceID, yield func(ptrace.Traces, error) bool) error {
	// A snapshot, so that what the trace's key promises is there although a partition is dropped meanwhile.
	snapshot := s.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	at, stored, found, err := s.find(snapshot, tenantPrefix(tenant), id)
	if err != nil {
		return fmt.Errorf("look up trace %s: %w", id, err)
	}
	if !found {
		return tracestore.ErrNotFound
	}
	refs, err := releaseRefs(snapshot, at, id, &stored)
	if err != nil {
		return fmt.Errorf("list releases of trace %s: %w", id, err)
	}
	for _, ref := range refs {
		if err := ctx.Err(); err != nil {
			return err
		}
		td, err := readSpans(snapshot, at, ref)
		if err != nil {
			s.corrupt(id, err)
			return fmt.Errorf("read trace %s: %w", id, err)
		}
		if !yield(td, nil) {
			return nil
		}
	}
	return nil
}
