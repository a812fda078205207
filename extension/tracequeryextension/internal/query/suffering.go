package query

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// maxSuffering is how many traces with failures of a service are read, sufferingTime for how long.
	maxSuffering  = 200
	sufferingTime = 100 * time.Millisecond
)

// readSuffering is what the failures that began in the window's service did to requests. Rollups say how many there were, and which traces have them,
// up to five of each kind and entry: these are read.
func readSuffering(ctx context.Context, reader tracestore.Reader, tenant string, window *tracestore.AggregateQuery) ([]blastradius.Suffering, error) {
	var kinds []tracestore.ErrorAggregate
	for e, err := range reader.Errors(ctx, tenant, window) {
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, e)
	}
	slices.SortFunc(kinds, func(a, b tracestore.ErrorAggregate) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Entry.Operation, b.Entry.Operation))
	})
	var ids []pcommon.TraceID
	place := make(map[string]int)
	for i := range kinds {
		for _, text := range kinds[i].TraceIDs {
			var id pcommon.TraceID
			if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) || len(ids) == maxSuffering {
				continue
			}
			if _, known := place[text]; !known {
				place[text] = len(ids)
				ids = append(ids, id)
			}
		}
	}
	type outcome struct{ read, failed bool }
	outcomes := make([]outcome, len(ids))
	drawn := sampling{reader: reader, tenant: tenant, until: time.Now().Add(sufferingTime)}
	if err := drawn.readAll(ctx, ids, func(at int, r *analysis.Result) {
		outcomes[at] = outcome{true, r.Tree.Entry >= 0 && r.Spans[r.Tree.Entry].Failing}
	}); err != nil {
		return nil, err
	}
	failures := make([]blastradius.Failure, 0, len(kinds))
	for i := range kinds {
		f := blastradius.Failure{Entry: blastradius.Entry(kinds[i].Entry), Count: kinds[i].Count}
		for _, text := range kinds[i].TraceIDs {
			if at, known := place[text]; known && outcomes[at].read {
				f.Read++
				if outcomes[at].failed {
					f.Failed++
				}
			}
		}
		failures = append(failures, f)
	}
	return blastradius.Observe(failures), nil
}
