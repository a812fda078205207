package formats

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// WriteZipkin writes one trace as Zipkin v2 does: a list of spans. It changes td. It begins to write when nothing but out can fail.
func WriteZipkin(out io.Writer, td ptrace.Traces) error {
	mend(td)
	spans, err := zipkinv2.FromTranslator{}.FromTraces(td)
	if err != nil {
		return fmt.Errorf("translate to Zipkin: %w", err)
	}
	list := make([]json.RawMessage, len(spans)) // never null
	for i, span := range spans {
		if list[i], err = json.Marshal(span); err != nil {
			return fmt.Errorf("write span %s as Zipkin's: %w", span.ID, err)
		}
	}
	return json.NewEncoder(out).Encode(list)
}
