// Package memstore is the reference backend: the contract of tracestore in the simplest way that is correct, in memory,
// without limits. Tests use it; other backends are measured against it.
package memstore

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Store keeps traces in memory for ever. It implements tracestore.Backend.
type Store struct {
	rollup.Reader // answers aggregates; it is answer
	tracestore.SourceReportTable
	tails tracestore.Tails

	retention time.Duration
	now       func() time.Time
	contrast  rollup.Contrast

	mu      sync.RWMutex // guards the fields below
	calls   map[tracetree.CallID]struct{}
	traces  map[traceKey]*trace
	rollups map[minuteKey]*rollup.Sums
	sources map[string]tracestore.SourceRecord // by name
}

var (
	_ tracestore.Backend = (*Store)(nil)
	_ tracestore.Tailer  = (*Store)(nil)
)

type traceKey struct {
	tenant string
	id     pcommon.TraceID
}

type trace struct {
	releasedAt int64 // of the first release
	row        tracerow.Row
	releases   []release // in the order version, part, time of writing
}

type release struct {
	version, part int
	releasedAt    int64
	td            ptrace.Traces
}

// New makes an empty store. retention bounds search times (tracestore.SearchTime) and drops nothing. now stands in for the
// time of release where a call names none.
func New(retention time.Duration, now func() time.Time) *Store {
	s := &Store{
		retention: retention, now: now,
		calls: make(map[tracetree.CallID]struct{}), traces: make(map[traceKey]*trace),
		rollups: make(map[minuteKey]*rollup.Sums), sources: make(map[string]tracestore.SourceRecord),
	}
	s.Reader = s.answer
	s.contrast = rollup.Contrast{Attributes: tracestore.DefaultContrastAttributes(), Usual: rollup.NewUsual(s.Reader)}
	return s
}

// WriteCall implements tracestore.Writer.
func (s *Store) WriteCall(ctx context.Context, td ptrace.Traces) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	releases := tracetree.Releases(td)
	sums := rollup.Call{Contrast: &s.contrast}
	explained := make([]*tracetree.Release, len(releases))
	for i := range releases {
		explained[i] = tracerow.Explained(&releases[i])
		sums.Add(explained[i], s.releaseTime(&releases[i])) // may read the hour before
	}
	if s.addCall(td, releases, explained, &sums) {
		s.tails.Tell(releases, tracerow.Told)
	}
	return nil
}

// Tail implements tracestore.Tailer.
func (s *Store) Tail(_ context.Context, tenant string, where *tracestore.Conditions, size int) (*tracestore.Tail, error) {
	return s.tails.Tail(tenant, where, size), nil
}

// Close ends the tails.
func (s *Store) Close() { s.tails.Close() }

// addCall says whether the call is new.
func (s *Store) addCall(td ptrace.Traces, releases []tracetree.Release, explained []*tracetree.Release, sums *rollup.Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := tracetree.NewCallID(releases)
	if _, known := s.calls[id]; known {
		return false
	}
	s.calls[id] = struct{}{}
	for i := range releases {
		s.addLocked(td, explained[i], s.releaseTime(&releases[i]))
	}
	s.addSumsLocked(sums.Deltas())
	return true
}

func (s *Store) releaseTime(release *tracetree.Release) int64 {
	if release.ReleasedAt > 0 {
		return release.ReleasedAt
	}
	return s.now().UnixNano()
}

// addLocked adds a release of the call; r is explained, td is as it was written.
func (s *Store) addLocked(td ptrace.Traces, r *tracetree.Release, releasedAt int64) {
	key := traceKey{r.Tenant, r.TraceID}
	stored := release{version: r.Version, part: r.Part, releasedAt: releasedAt, td: cut(td, key)}
	at, known := s.traces[key]
	if !known {
		at = &trace{releasedAt: releasedAt, row: tracerow.FromRelease(r), releases: []release{stored}}
		s.traces[key] = at
		return
	}
	at.releases = append(at.releases, stored)
	slices.SortStableFunc(at.releases, func(a, b release) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.part, b.part))
	})
	copies := make([]ptrace.Traces, len(at.releases))
	for i := range at.releases {
		copies[i] = clone(at.releases[i].td)
	}
	at.row = tracerow.FromTrace(copies)
}

// cut copies the spans of one trace out of a call.
func cut(td ptrace.Traces, key traceKey) ptrace.Traces {
	td = clone(td)
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		tenant := ""
		if v, ok := rs.Resource().Attributes().Get(conventions.AttrTenant); ok && v.Type() == pcommon.ValueTypeStr {
			tenant = v.Str()
		}
		if tenant != key.tenant {
			return true
		}
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool { return span.TraceID() != key.id })
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return td
}

func clone(td ptrace.Traces) ptrace.Traces {
	c := ptrace.NewTraces()
	td.CopyTo(c)
	return c
}

// Trace implements tracestore.Reader.
func (s *Store) Trace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		s.mu.RLock()
		var releases []release
		if at, ok := s.traces[traceKey{tenant, id}]; ok {
			releases = slices.Clone(at.releases)
		}
		s.mu.RUnlock()
		if len(releases) == 0 {
			yield(ptrace.Traces{}, tracestore.ErrNotFound)
			return
		}
		for _, r := range releases {
			if err := ctx.Err(); err != nil {
				yield(ptrace.Traces{}, err)
				return
			}
			if !yield(clone(r.td), nil) {
				return
			}
		}
	}
}

// Delete implements tracestore.Deleter.
func (s *Store) Delete(ctx context.Context, tenant string, id pcommon.TraceID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := traceKey{tenant, id}
	if _, stored := s.traces[key]; !stored {
		return tracestore.ErrNotFound
	}
	delete(s.traces, key)
	return nil
}
