package formats

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/jaegerjson"
)

// WriteJaeger writes one trace as Jaeger's HTTP API does. It changes td. warnings are about the trace as a whole. It begins to write when
// nothing but out can fail.
func WriteJaeger(out io.Writer, td ptrace.Traces, warnings []string) error {
	mend(td)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	trace := jaegerjson.NewTrace(jaeger.ProtoFromTraces(td), warnings)
	if err := encoder.Encode(jaegerjson.Answer{Data: []jaegerjson.Trace{trace}}); err != nil {
		return fmt.Errorf("write as Jaeger's: %w", err)
	}
	return nil
}
