package pebblestore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

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

// Traces implements tracestore.TracesReader. Traces stand in blocks by their release, so each block is opened once for all of its traces that are wanted,
// and read from its front.
func (s *Store) Traces(ctx context.Context, tenant string, ids []pcommon.TraceID) iter.Seq2[tracestore.StoredRelease, error] {
	return func(yield func(tracestore.StoredRelease, error) bool) {
		if err := s.enter(); err != nil {
			yield(tracestore.StoredRelease{}, err)
			return
		}
		defer s.leave()
		if err := s.yieldTraces(ctx, tenant, ids, yield); err != nil {
			yield(tracestore.StoredRelease{}, err)
		}
	}
}

// yieldTraces ends early, with nil, where yield wants no more.
func (s *Store) yieldTraces(
	ctx context.Context, tenant string, ids []pcommon.TraceID, yield func(tracestore.StoredRelease, error) bool,
) error {
	days := s.partitions.of(tenantPrefix(tenant))
	snapshot := s.db.NewSnapshot() // as for a single trace
	defer func() { _ = snapshot.Close() }()
	type found struct {
		id   pcommon.TraceID
		refs []ref
	}
	var all []found
	known := make(map[pcommon.TraceID]bool, len(ids))
	for _, id := range ids {
		if known[id] {
			continue
		}
		known[id] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := refs(snapshot, days, id, 0)
		if err != nil {
			return fmt.Errorf("look up trace %s: %w", id, err)
		}
		if len(list) > 0 {
			all = append(all, found{id, list})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int {
		x, y := &a.refs[0], &b.refs[0]
		return cmp.Or(cmp.Compare(x.at.day, y.at.day), cmp.Compare(x.sequence, y.sequence), cmp.Compare(x.number, y.number))
	})
	reader := blockReader{reader: snapshot}
	defer reader.close()
	for _, f := range all {
		for _, r := range f.refs {
			if err := ctx.Err(); err != nil {
				return err
			}
			td, err := reader.traces(r, f.id)
			if err != nil {
				s.corrupt(f.id, err)
				return fmt.Errorf("read trace %s: %w", f.id, err)
			}
			if !yield(tracestore.StoredRelease{ID: f.id, Release: td}, nil) {
				return nil
			}
		}
	}
	return nil
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
		td, err := reader.traces(r, id)
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
