package tracesummaryconnector

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/connector/tracesummaryconnector/internal/metadata"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// source is what both sorts of summaries share: it reads calls, and says who speaks in what is made of them.
type source struct {
	set       connector.Settings
	telemetry *metadata.TelemetryBuilder
	warn      sync.Once
}

func newSource(set connector.Settings) (*source, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &source{set: set, telemetry: telemetry}, nil
}

// Capabilities: spans are read only.
func (*source) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// read hands the summary of each release of a call to take, which must not keep it.
func (s *source) read(ctx context.Context, td ptrace.Traces, take func(*summary)) {
	releases := tracetree.Releases(td)
	unanalysed := 0
	var one summary
	for i := range releases {
		one.read(&releases[i])
		if !one.analysed {
			unanalysed++
		}
		take(&one)
	}
	s.telemetry.ConnectorTracesummaryReleases.Add(ctx, int64(len(releases)))
	if unanalysed > 0 {
		s.telemetry.ConnectorTracesummaryReleasesUnanalysed.Add(ctx, int64(unanalysed))
		s.warn.Do(func() {
			s.set.Logger.Warn("traces come without annotations: put trace_assembly and trace_analysis before this connector, " +
				"or it can say little of them; further ones are counted only")
		})
	}
}

// describe writes whose summary it is: this collector's, as its own telemetry names it, for a tenant.
func (s *source) describe(resource pcommon.Resource, tenant string) {
	s.set.Resource.Attributes().CopyTo(resource.Attributes())
	if tenant != "" {
		resource.Attributes().PutStr(conventions.AttrTenant, tenant)
	}
}

func (s *source) scope(scope pcommon.InstrumentationScope) {
	scope.SetName(metadata.ScopeName)
	scope.SetVersion(s.set.BuildInfo.Version)
}
