package query

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// storage answers what its functions say.
type storage struct {
	tracestore.AggregateReader
	tracestore.CatalogueReader
	tracestore.Deleter
	tracestore.Tailer
	tracestore.Writer
	trace  func(ctx context.Context) ([]ptrace.Traces, error)
	search func(ctx context.Context, query *tracestore.SearchQuery) (tracestore.SearchPage, error)
}

func (s storage) Trace(ctx context.Context, _ string, _ pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		releases, err := s.trace(ctx)
		for _, release := range releases {
			if !yield(release, nil) {
				return
			}
		}
		if err != nil {
			yield(ptrace.Traces{}, err)
		}
	}
}

func (s storage) Search(ctx context.Context, _ string, query *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	return s.search(ctx, query)
}

func service(s tracestore.Backend) *Service {
	return &Service{
		Storage:  func() (tracestore.Backend, error) { return s, nil },
		InFlight: new(InFlight),
		Timeout:  time.Second,
	}
}

func oneSpan(id pcommon.TraceID, spanID byte) ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(id)
	span.SetSpanID(pcommon.SpanID{spanID})
	span.SetStartTimestamp(10)
	span.SetEndTimestamp(20)
	return td
}

func TestTraceJoinsReleases(t *testing.T) {
	id := pcommon.TraceID{1}
	s := service(storage{trace: func(context.Context) ([]ptrace.Traces, error) {
		return []ptrace.Traces{oneSpan(id, 1), oneSpan(id, 2), oneSpan(id, 2)}, nil
	}})
	trace, err := s.Trace(t.Context(), "", id)
	require.NoError(t, err)
	require.Equal(t, id, trace.ID)
	require.Equal(t, 2, trace.Spans.SpanCount(), "the repeated span is one")
	require.Len(t, trace.Release.Spans, 2)
	require.Equal(t, 2, trace.Analysis.SpanCount)
}

func TestTraceErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	id := pcommon.TraceID{1}
	for name, test := range map[string]struct {
		releases []ptrace.Traces
		err      error
		want     error
	}{
		"not stored":              {err: tracestore.ErrNotFound, want: tracestore.ErrNotFound},
		"no release and no error": {want: tracestore.ErrNotFound},
		"broken":                  {err: broken, want: broken},
		"broken half way":         {releases: []ptrace.Traces{oneSpan(id, 1)}, err: broken, want: broken},
		"closed":                  {err: tracestore.ErrClosed, want: tracestore.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			s := service(storage{trace: func(context.Context) ([]ptrace.Traces, error) { return test.releases, test.err }})
			_, err := s.Trace(t.Context(), "", id)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestNotFoundSaysInFlight(t *testing.T) {
	s := service(storage{trace: func(context.Context) ([]ptrace.Traces, error) { return nil, tracestore.ErrNotFound }})
	inFlight := true
	s.InFlight.Register(func(context.Context, string, pcommon.TraceID) bool { return inFlight })
	var notFound *NotFoundError
	_, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
	require.ErrorAs(t, err, &notFound)
	require.True(t, notFound.InFlight && notFound.InFlightKnown)
	require.Contains(t, err.Error(), "being assembled")
	inFlight = false
	_, err = s.Trace(t.Context(), "", pcommon.TraceID{1})
	require.ErrorAs(t, err, &notFound)
	require.True(t, !notFound.InFlight && notFound.InFlightKnown)
}

// A trace that is stored while assembly is asked is neither there at first nor in flight afterwards.
func TestTraceStoredMeanwhile(t *testing.T) {
	stored := false
	s := service(storage{trace: func(context.Context) ([]ptrace.Traces, error) {
		if !stored {
			return nil, tracestore.ErrNotFound
		}
		return []ptrace.Traces{ptrace.NewTraces()}, nil
	}})
	s.InFlight.Register(func(context.Context, string, pcommon.TraceID) bool {
		stored = true
		return false
	})
	_, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
	require.NoError(t, err)
}

func TestTimeout(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	s := storage{
		trace: func(ctx context.Context) ([]ptrace.Traces, error) { return nil, wait(ctx) },
		search: func(ctx context.Context, _ *tracestore.SearchQuery) (tracestore.SearchPage, error) {
			return tracestore.SearchPage{}, wait(ctx)
		},
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := service(s).Trace(t.Context(), "", pcommon.TraceID{1})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, err = service(s).Search(t.Context(), "", new(tracestore.SearchQuery), nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestSearchPagesKeepTheirWindow(t *testing.T) {
	var asked []tracestore.SearchQuery
	s := service(storage{search: func(_ context.Context, q *tracestore.SearchQuery) (tracestore.SearchPage, error) {
		asked = append(asked, *q)
		if q.Cursor == "" {
			return tracestore.SearchPage{NextCursor: "second"}, nil
		}
		return tracestore.SearchPage{}, nil
	}})
	start, end := time.Unix(100, 0).UTC(), time.Unix(200, 0).UTC()
	_, next, err := s.Search(t.Context(), "", &tracestore.SearchQuery{Start: start, End: end}, nil)
	require.NoError(t, err)
	require.NotNil(t, next)

	later := &tracestore.SearchQuery{Start: start.Add(time.Minute), End: end.Add(time.Minute)}
	_, last, err := s.Search(t.Context(), "", later, next)
	require.NoError(t, err)
	require.Nil(t, last)
	// The storage is to stop before the query fails.
	left := time.Until(asked[1].Deadline)
	require.True(t, left > 0 && left < s.Timeout, "%s", left)
	require.Equal(t, tracestore.SearchQuery{Start: start, End: end, Cursor: "second", Deadline: asked[1].Deadline}, asked[1])
}
