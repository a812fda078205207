package traceanalysisprocessor

import (
	"context"
	"runtime"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor/internal/metadata"
)

// maxKeptSpans is the largest call whose memory is kept for the next ones.
const maxKeptSpans = 50_000

// analysisProcessor explains the releases of each call where they are and hands the same call on, never more or fewer: a call is
// the unit that the stores know again. It keeps nothing from call to call but memory.
type analysisProcessor struct {
	telemetry *metadata.TelemetryBuilder
	business  []string
	idle      chan *worker // a pool that the garbage collector does not empty
}

// worker is the memory in which one call at a time is analysed.
type worker struct {
	grouper  tracetree.Grouper
	analyzer analysis.Analyzer
}

func newAnalysisProcessor(set component.TelemetrySettings, cfg *Config) (*analysisProcessor, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &analysisProcessor{
		telemetry: telemetry, business: cfg.Business.Attributes, idle: make(chan *worker, runtime.GOMAXPROCS(0)),
	}, nil
}

func (p *analysisProcessor) process(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	w := p.worker()
	releases, spans := w.grouper.Group(td), 0
	for i := range releases {
		if i+1 < len(releases) {
			releases[i+1].Prefetch()
		}
		w.analyzer.Annotate(&releases[i])
		spans += len(releases[i].Spans)
	}
	p.telemetry.ProcessorTraceAnalysisReleases.Add(ctx, int64(len(releases)))
	p.telemetry.ProcessorTraceAnalysisSpans.Add(ctx, int64(spans))
	if spans <= maxKeptSpans {
		p.keep(w)
	}
	return td, nil
}

func (p *analysisProcessor) worker() *worker {
	select {
	case w := <-p.idle:
		return w
	default:
		return &worker{analyzer: analysis.Analyzer{Business: p.business}}
	}
}

func (p *analysisProcessor) keep(w *worker) {
	w.grouper.Reset()
	w.analyzer.Reset()
	select {
	case p.idle <- w:
	default: // more calls at once than processors
	}
}

func (p *analysisProcessor) shutdown(context.Context) error {
	p.telemetry.Shutdown()
	return nil
}
