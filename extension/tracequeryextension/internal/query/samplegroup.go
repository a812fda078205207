package query

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// readGroup reads some traces, together where the storage can.
func (s *sampling) readGroup(ctx context.Context, ids []pcommon.TraceID, read func(i int, r *analysis.Result)) error {
	together, ok := s.reader.(tracestore.TracesReader)
	if !ok {
		return s.readOneByOne(ctx, ids, read)
	}
	trace := groupTrace{memory: shareOf(ctx).memory}
	explain := func() {
		if trace.tooLarge {
			s.note(SampleInfo{TooLarge: 1})
		} else if len(trace.releases) > 0 {
			_, release := tracetree.Join(trace.releases)
			read(slices.Index(ids, trace.id), analysis.Analyze(&release))
			s.note(SampleInfo{Traces: 1})
		}
	}
	defer trace.drop()
	for stored, err := range together.Traces(ctx, s.tenant, ids) {
		if err != nil {
			return err
		}
		if stored.ID != trace.id {
			explain()
			trace.begin(stored.ID)
			if s.over(ctx) {
				s.note(SampleInfo{Cut: true})
				return nil
			}
		}
		trace.add(stored.Release)
	}
	explain()
	return nil
}

// groupTrace is one trace of a group while it is read.
type groupTrace struct {
	memory   *Memory
	share    *share // nil without a trace
	id       pcommon.TraceID
	releases []ptrace.Traces
	tooLarge bool
}

func (t *groupTrace) begin(id pcommon.TraceID) {
	t.drop()
	*t = groupTrace{memory: t.memory, share: &share{memory: t.memory}, id: id}
}

// add takes a release, unless the trace is too large, or others take the memory.
func (t *groupTrace) add(td ptrace.Traces) {
	if t.tooLarge {
		return
	}
	if err := t.share.take(int64((&ptrace.ProtoMarshaler{}).TracesSize(td))); err != nil || t.share.held > maxSampledBytes {
		t.tooLarge, t.releases = true, nil
		return
	}
	t.releases = append(t.releases, td)
}

// drop gives back what the trace held.
func (t *groupTrace) drop() {
	if t.share != nil {
		t.share.end()
	}
}

func (s *sampling) readOneByOne(ctx context.Context, ids []pcommon.TraceID, read func(i int, r *analysis.Result)) error {
	for i, id := range ids {
		if s.over(ctx) {
			s.note(SampleInfo{Cut: true})
			return nil
		}
		err := explainTrace(ctx, s.reader, s.tenant, id, func(r *analysis.Result) {
			read(i, r)
			s.note(SampleInfo{Traces: 1})
		})
		switch {
		case errors.Is(err, ErrMemory):
			s.note(SampleInfo{TooLarge: 1})
		case err != nil && !errors.Is(err, tracestore.ErrNotFound):
			return err
		}
	}
	return nil
}

// explainTrace reads a trace and explains it to do, and lets go of it.
func explainTrace(ctx context.Context, reader tracestore.Reader, tenant string, id pcommon.TraceID, do func(r *analysis.Result)) error {
	ctx, end := shareOf(ctx).memory.Begin(ctx)
	defer end()
	releases, _, _, err := readReleases(ctx, reader, tenant, id)
	if err != nil {
		return err
	}
	_, release := tracetree.Join(releases)
	do(analysis.Analyze(&release))
	return nil
}
