package clickhousestore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Trace implements tracestore.Reader. A trace of no more than readSpans is held in memory before its first release is yielded, for the order of the
// releases is known when all have been read. Of a larger one they are listed first.
func (s *Store) Trace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		trace, err := s.readTrace(ctx, tenant, id)
		switch {
		case err != nil:
			yield(ptrace.Traces{}, err)
			return
		case trace.large:
			for release, err := range s.largeTrace(ctx, tenant, id) {
				if err != nil {
					yield(ptrace.Traces{}, err)
					return
				}
				if !yield(release.td, nil) {
					return
				}
			}
			return
		}
		for _, td := range trace.releases {
			if err := ctx.Err(); err != nil {
				yield(ptrace.Traces{}, err)
				return
			}
			if !yield(td, nil) {
				return
			}
		}
	}
}

// readTrace reads a trace, or finds that it is large.
func (s *Store) readTrace(ctx context.Context, tenant string, id pcommon.TraceID) (*storedTrace, error) {
	values := parameters{}
	order := "Id, _block_number, _block_offset LIMIT " + strconv.Itoa(readSpans+1) + oneThread // a granule or two, as a rule
	trace := &storedTrace{id: id}
	for release, err := range s.releases(ctx, s.ofTrace(values, tenant, []pcommon.TraceID{id}, ""), order, values) {
		if err != nil {
			return nil, err
		}
		trace.gather(release, false)
	}
	if len(trace.releases) == 0 {
		return nil, tracestore.ErrNotFound
	}
	trace.large = trace.spans > readSpans
	return trace.sorted(), nil
}

// Traces implements tracestore.TracesReader.
func (s *Store) Traces(ctx context.Context, tenant string, ids []pcommon.TraceID) iter.Seq2[tracestore.StoredRelease, error] {
	return func(yield func(tracestore.StoredRelease, error) bool) {
		if len(ids) == 0 {
			return
		}
		for trace, err := range s.traces(ctx, tenant, ids, false) {
			if err != nil {
				yield(tracestore.StoredRelease{}, err)
				return
			}
			for _, td := range trace.releases {
				if !yield(tracestore.StoredRelease{ID: trace.id, Release: td}, nil) {
					return
				}
			}
		}
	}
}

// releaseTimes are when the releases of the trace were made; the error is ErrNotFound where there are none.
func (s *Store) releaseTimes(ctx context.Context, tenant string, id pcommon.TraceID) ([]time.Time, error) {
	values := parameters{}
	rows, err := s.query(ctx, "SELECT DISTINCT toUnixTimestamp64Nano(ReleasedAt) FROM "+s.table("trace_times")+
		" WHERE Tenant = "+values.text(tenant)+" AND Id = "+values.id(id), values)
	if err != nil {
		return nil, fmt.Errorf("find trace: %w", err)
	}
	defer rows.Close()
	var times []time.Time
	for rows.Next() {
		var releasedAt int64
		if err := rows.Scan(&releasedAt); err != nil {
			return nil, fmt.Errorf("find trace: %w", s.failed(ctx, err))
		}
		times = append(times, time.Unix(0, releasedAt))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find trace: %w", s.failed(ctx, err))
	}
	if len(times) == 0 {
		return nil, tracestore.ErrNotFound
	}
	return times, nil
}

// quartersOf are the quarters of an hour in which the times are.
func quartersOf(times []time.Time) (quarters []time.Time) {
	for _, at := range times {
		if quarter := quarterOf(at); !slices.Contains(quarters, quarter) {
			quarters = append(quarters, quarter)
		}
	}
	return quarters
}
