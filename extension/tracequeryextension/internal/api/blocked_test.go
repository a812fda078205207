package api

import (
	"context"
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// blockedStorage answers nothing until the question is given up.
type blockedStorage struct {
	tracestore.Tailer // nil: nobody follows
}

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func blocked[T any](ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, untilDone(ctx))
	}
}

func (blockedStorage) WriteCall(ctx context.Context, _ ptrace.Traces) error { return untilDone(ctx) }

func (blockedStorage) Delete(ctx context.Context, _ string, _ pcommon.TraceID) error {
	return untilDone(ctx)
}

func (blockedStorage) Trace(ctx context.Context, _ string, _ pcommon.TraceID) iter.Seq2[ptrace.Traces, error] {
	return blocked[ptrace.Traces](ctx)
}

func (blockedStorage) Search(ctx context.Context, _ string, _ *tracestore.SearchQuery) (tracestore.SearchPage, error) {
	return tracestore.SearchPage{}, untilDone(ctx)
}

func (blockedStorage) Operations(ctx context.Context, _ string, _ *tracestore.AggregateQuery) iter.Seq2[tracestore.OperationAggregate, error] {
	return blocked[tracestore.OperationAggregate](ctx)
}

func (blockedStorage) Edges(ctx context.Context, _ string, _ *tracestore.AggregateQuery) iter.Seq2[tracestore.EdgeAggregate, error] {
	return blocked[tracestore.EdgeAggregate](ctx)
}

func (blockedStorage) Entries(ctx context.Context, _ string, _ *tracestore.AggregateQuery) iter.Seq2[tracestore.EntryAggregate, error] {
	return blocked[tracestore.EntryAggregate](ctx)
}

func (blockedStorage) EntryOperations(
	ctx context.Context, _ string, _ *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryOperationAggregate, error] {
	return blocked[tracestore.EntryOperationAggregate](ctx)
}

func (blockedStorage) Errors(ctx context.Context, _ string, _ *tracestore.AggregateQuery) iter.Seq2[tracestore.ErrorAggregate, error] {
	return blocked[tracestore.ErrorAggregate](ctx)
}

func (blockedStorage) Contexts(ctx context.Context, _ string, _ *tracestore.AggregateQuery) iter.Seq2[tracestore.ContextAggregate, error] {
	return blocked[tracestore.ContextAggregate](ctx)
}

func (blockedStorage) Contrasts(ctx context.Context, _ string, _ *tracestore.AggregateQuery) iter.Seq2[tracestore.ContrastAggregate, error] {
	return blocked[tracestore.ContrastAggregate](ctx)
}

func (blockedStorage) Completeness(ctx context.Context, _ string, _ *tracestore.AggregateQuery) (tracestore.Completeness, error) {
	return tracestore.Completeness{}, untilDone(ctx)
}

func (blockedStorage) AttributeKeys(ctx context.Context, _ string, _ *tracestore.CatalogueQuery) ([]tracestore.AttributeKey, error) {
	return nil, untilDone(ctx)
}

func (blockedStorage) AttributeValues(
	ctx context.Context, _ string, _ tracestore.AttributeScope, _ string, _ *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	return nil, untilDone(ctx)
}
