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
	days := s.partitions.of(tenantPrefix(tenant))
	// A snapshot, so that what the index promises is there although blocks are merged or dropped meanwhile.
	snapshot := s.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	list, err := refs(snapshot, days, id, 0)
	if err != nil {
		return fmt.Errorf("look up trace %s: %w", id, err)
	}
	if len(list) == 0 {
		return tracestore.ErrNotFound
	}
	reader := blockReader{reader: snapshot}
	defer reader.close()
	for _, r := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		td, err := reader.traces(r)
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
