package neo4jmap

import (
	"context"
	"fmt"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Pair is a service and one that it calls.
type Pair struct{ Parent, Child string }

const fillPairs = `
UNWIND $pairs AS pair
MATCH (a:Service {key: pair.from})
MATCH (b:Service {key: pair.to})
UNWIND range($first, $last) AS bucket
CREATE (a)-[:CALLS {key: pair.key + '-' + bucket, tenant: '', pair: pair.key, environment: 'production', kind: $kind, protocol: 'http',
  bucket: bucket, width: $width, calls: 1, errors: 0}]->(b)`

// Fill makes a past for measures: of each pair CALLS of the default tenant in so many buckets before the first one, a minute each. No more than
// a transaction's worth is in memory. It reports how many there are so far.
func (w *Writer) Fill(ctx context.Context, pairs []Pair, buckets int, report func(calls int)) error {
	if err := w.schema.ensure(ctx, w.client); err != nil {
		return err
	}
	services := make(map[string]node)
	parameters := make([]map[string]any, len(pairs))
	for i, p := range pairs {
		from, to := serviceKey("", p.Parent), serviceKey("", p.Child)
		services[from] = node{key: from, name: p.Parent, kind: conventions.KindService}
		services[to] = node{key: to, name: p.Child, kind: conventions.KindService}
		parameters[i] = map[string]any{"from": from, "to": to, "key": pairKey("", from, to)}
	}
	if err := w.change(ctx, (&rows{services: sortedNodes(services)}).merge); err != nil {
		return err
	}
	before := minutes(w.options.Now()) - 1
	step := max(1, 4*chunk/max(1, len(pairs)))
	for done := 0; done < buckets; done += step {
		n := min(step, buckets-done)
		if err := w.change(ctx, func(tx *transaction) error {
			return tx.run(fillPairs, map[string]any{
				"pairs": parameters, "first": before - int64(done+n) + 1, "last": before - int64(done), "width": minute, "kind": conventions.KindService,
			}, nil)
		}); err != nil {
			return fmt.Errorf("fill bucket %d: %w", done, err)
		}
		report((done + n) * len(pairs))
	}
	return nil
}
