package traceanalysisprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor/internal/metadata"
)

// maxPooledSpans is the largest release whose memory is kept for the next ones.
const maxPooledSpans = 50_000

// analysisProcessor explains the releases of each call where they are and hands the same call on, never more or fewer: a call is
// the unit that the stores know again. It keeps nothing from call to call but memory.
type analysisProcessor struct {
	telemetry *metadata.TelemetryBuilder
	analyzers sync.Pool // of *analysis.Analyzer
}

func newAnalysisProcessor(set component.TelemetrySettings, cfg *Config) (*analysisProcessor, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &analysisProcessor{
		telemetry: telemetry,
		analyzers: sync.Pool{New: func() any { return &analysis.Analyzer{Business: cfg.Business.Attributes} }},
	}, nil
}

func (p *analysisProcessor) process(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	releases := tracetree.Releases(td)
	analyzer := p.analyzers.Get().(*analysis.Analyzer)
	spans, largest := 0, 0
	for i := range releases {
		release := &releases[i]
		analysis.Annotate(release, analyzer.Analyze(release))
		spans += len(release.Spans)
		largest = max(largest, len(release.Spans))
	}
	if largest <= maxPooledSpans {
		analyzer.Reset()
		p.analyzers.Put(analyzer)
	}
	p.telemetry.ProcessorTraceAnalysisReleases.Add(ctx, int64(len(releases)))
	p.telemetry.ProcessorTraceAnalysisSpans.Add(ctx, int64(spans))
	return td, nil
}

func (p *analysisProcessor) shutdown(context.Context) error {
	p.telemetry.Shutdown()
	return nil
}
