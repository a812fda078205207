package rollup

import (
	"context"
	"iter"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Reader implements tracestore.AggregateReader for a storage that can make an Answer: it adds up one table over the minutes of the
// query's window. A storage embeds it.
type Reader func(ctx context.Context, tenant string, query *tracestore.AggregateQuery, table Table) (*Answer, error)

var _ tracestore.AggregateReader = Reader(nil)

// Operations implements tracestore.AggregateReader.
func (r Reader) Operations(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.OperationAggregate, error] {
	return stream(r.ask(ctx, tenant, query, Operations), (*Answer).Operations)
}

// Edges implements tracestore.AggregateReader.
func (r Reader) Edges(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EdgeAggregate, error] {
	return stream(r.ask(ctx, tenant, query, Edges), (*Answer).Edges)
}

// Entries implements tracestore.AggregateReader.
func (r Reader) Entries(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryAggregate, error] {
	return stream(r.ask(ctx, tenant, query, Entries), (*Answer).Entries)
}

// EntryOperations implements tracestore.AggregateReader.
func (r Reader) EntryOperations(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.EntryOperationAggregate, error] {
	return stream(r.ask(ctx, tenant, query, EntryOperations), (*Answer).EntryOperations)
}

// Errors implements tracestore.AggregateReader.
func (r Reader) Errors(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.ErrorAggregate, error] {
	return stream(r.ask(ctx, tenant, query, Errors), (*Answer).Errors)
}

// Contexts implements tracestore.AggregateReader.
func (r Reader) Contexts(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.ContextAggregate, error] {
	return stream(r.ask(ctx, tenant, query, Contexts), (*Answer).Contexts)
}

// Contrasts implements tracestore.AggregateReader.
func (r Reader) Contrasts(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) iter.Seq2[tracestore.ContrastAggregate, error] {
	return stream(r.ask(ctx, tenant, query, Contrasts), (*Answer).Contrasts)
}

// Completeness implements tracestore.AggregateReader.
func (r Reader) Completeness(
	ctx context.Context, tenant string, query *tracestore.AggregateQuery,
) (tracestore.Completeness, error) {
	answer, err := r(ctx, tenant, query, Spans)
	if err != nil {
		return tracestore.Completeness{}, err
	}
	return answer.Completeness(), nil
}

func (r Reader) ask(ctx context.Context, tenant string, query *tracestore.AggregateQuery, table Table) func() (*Answer, error) {
	return func() (*Answer, error) { return r(ctx, tenant, query, table) }
}
