package replay

import (
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/jaegerjson"
)

// fromJaeger brings the traces into Jaeger's own model, whose translation to OTLP the collector's library knows.
func fromJaeger(traces []jaegerjson.Trace) (ptrace.Traces, error) {
	var all []*model.Batch
	for i := range traces {
		batches, err := traces[i].Batches()
		if err != nil {
			return ptrace.Traces{}, err
		}
		all = append(all, batches...)
	}
	return jaeger.ProtoToTraces(all)
}
