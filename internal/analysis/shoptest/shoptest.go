// Package shoptest hands the traces of the simulated shop to tests and measures, as they come out of the analysis.
package shoptest

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Start is when visits begin, Unix nanoseconds.
const Start = 1_700_000_000_000_000_000

// Traces calls each with every trace of the visits first to first + count − 1 and its analysis, which is valid until each returns. The visits
// begin at the times that start says, nanoseconds from Start; nil for all at once.
func Traces(s *shop.Shop, first, count int, start func(visit int) int64, each func(v *shop.Visit, r *analysis.Result)) error {
	var analyzer analysis.Analyzer
	for i := range count {
		v := s.Visit(first + i)
		origin := int64(Start)
		if start != nil {
			origin += start(i)
		}
		td, err := spans(s, origin, v)
		if err != nil {
			return fmt.Errorf("visit %d: %w", v.Index, err)
		}
		for _, release := range tracetree.Releases(td) {
			each(v, analyzer.Analyze(&release))
		}
	}
	return nil
}

// spans are those of visits that begin at once, one resource for each instance.
func spans(s *shop.Shop, origin int64, visits ...*shop.Visit) (ptrace.Traces, error) {
	batches := make(map[int]*wire.Batch)
	var order []*wire.Batch
	for _, v := range visits {
		s.Encode(v, 0, func(i int, scope wire.Scope, span *wire.Span) {
			instance := s.Instance(&v.Spans[i])
			if batches[instance] == nil {
				batches[instance] = wire.NewBatch(s.Resource(instance), shop.SchemaURL)
				order = append(order, batches[instance])
			}
			batches[instance].Add(scope, span)
		})
	}
	var request []byte // requests add up when they are put behind one another
	for _, batch := range order {
		payload := batch.Payload()
		payload.Move(wire.Mask{}, origin)
		request = append(request, payload.Bytes()...)
	}
	return (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
}
