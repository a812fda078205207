package query

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// history counts the questions about operations.
type history struct {
	aggregates
	asked int
}

func (h *history) Operations(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.OperationAggregate, error] {
	h.asked++
	return h.aggregates.Operations(ctx, tenant, query)
}

// minuteStorage is one that reads several minutes together.
type minuteStorage struct {
	storage
	asked *[][]time.Time
}

func (t minuteStorage) OperationMinutes(_ context.Context, _ string, minutes []time.Time) (list []tracestore.OperationMinute, err error) {
	*t.asked = append(*t.asked, minutes)
	for _, minute := range minutes {
		list = append(list, tracestore.OperationMinute{
			Minute: minute, Operation: tracestore.Operation{Service: conventions.UnknownService}, Kind: "unspecified", Calls: 2, SelfTime: 14,
		})
	}
	return list, nil
}

// TestUsualIsAskedForTogether: what is not remembered is read by one question, and by a second one where that is too little.
func TestUsualIsAskedForTogether(t *testing.T) {
	var asked [][]time.Time
	s := service(minuteStorage{usualStorage(&aggregates{fail: "operations"}), &asked})
	for range 3 {
		trace, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
		require.NoError(t, err)
		require.EqualValues(t, 7, trace.UsualSelfTime)
	}
	require.Len(t, asked, 2)
	require.Len(t, asked[0], 12)
	require.Len(t, asked[1], 4, "twelve minutes have 24 calls")
}

func usualService(reader tracestore.AggregateReader) *Service { return service(usualStorage(reader)) }

func usualStorage(reader tracestore.AggregateReader) storage {
	return usualStorageAt(reader, int64(2*time.Hour))
}

// usualStorageAt has a trace that was released then.
func usualStorageAt(reader tracestore.AggregateReader, released int64) storage {
	return storage{AggregateReader: reader, trace: func(context.Context) ([]ptrace.Traces, error) {
		td := oneSpan(pcommon.TraceID{1}, 1)
		td.ResourceSpans().At(0).Resource().Attributes().PutInt(conventions.AttrReleasedAt, released)
		return []ptrace.Traces{td}, nil
	}}
}

// TestUsualIsRemembered: the same minutes are not read again.
func TestUsualIsRemembered(t *testing.T) {
	o := operation(conventions.UnknownService, "", "unspecified", 3, 0, nil)
	o.SelfTime = 15
	h := &history{aggregates: aggregates{operations: []tracestore.OperationAggregate{o}}}
	s := usualService(h)
	for range 3 {
		trace, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
		require.NoError(t, err)
		require.EqualValues(t, 5, trace.UsualSelfTime)
	}
	require.Equal(t, 12, h.asked, "twelve minutes have 36 calls")
}

// TestUsualIsForgotten: what may still come to a minute is not passed over for ever: a young one is not remembered, and any only for a while.
func TestUsualIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := operation(conventions.UnknownService, "", "unspecified", 1, 0, nil)
		h := &history{aggregates: aggregates{operations: []tracestore.OperationAggregate{o}}}
		s := service(usualStorageAt(h, time.Now().UnixNano()))
		asks := func() int {
			before := h.asked
			_, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
			require.NoError(t, err)
			return h.asked - before
		}
		require.Equal(t, 16, asks(), "all minutes have 16 calls")
		require.Equal(t, 2, asks(), "the two that have been over for less than two minutes")
		time.Sleep(5*time.Minute + time.Second)
		require.Equal(t, 16, asks())
		require.Zero(t, asks())
	})
}

// A trace is answered without what is usual where that cannot be read, or not soon.
func TestUsualThatFails(t *testing.T) {
	trace, err := usualService(&aggregates{fail: "operations"}).Trace(t.Context(), "", pcommon.TraceID{1})
	require.NoError(t, err)
	require.Zero(t, trace.UsualSelfTime)
	synctest.Test(t, func(t *testing.T) {
		s := usualService(&slow{})
		began := time.Now()
		trace, err := s.Trace(t.Context(), "", pcommon.TraceID{1})
		require.NoError(t, err)
		require.Zero(t, trace.UsualSelfTime)
		require.Equal(t, usualTimeout, time.Since(began))
		require.Empty(t, s.usual.sums)
	})
}
