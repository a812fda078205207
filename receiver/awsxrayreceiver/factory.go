package awsxrayreceiver

import (
	"context"
	"crypto/rand"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/awsxrayreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/tracewright/tracewright/receiver/awsxrayreceiver/internal/metadata"
)

// NewFactory makes the factory of the collector's receiver, guarded. Its configuration is the collector's.
func NewFactory() receiver.Factory {
	inner := upstream.NewFactory()
	create := func(_ context.Context, set receiver.Settings, config component.Config, next consumer.Traces) (receiver.Traces, error) {
		report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
			ReceiverID: set.ID, Transport: "udp", ReceiverCreateSettings: set,
		})
		if err != nil {
			return nil, err
		}
		own := *config.(*upstream.Config)
		g := &guard{endpoint: own.AddrConfig.Endpoint, proxy: own.ProxyServer.Endpoint, logger: set.Logger, report: report}
		_, _ = rand.Read(g.last[:]) // never fails
		corrected, drained := newCorrected(next, report, g.last)
		g.drained = drained
		quiet := set
		quiet.MeterProvider = uncounted{set.MeterProvider}
		g.create = func(ctx context.Context, endpoint string) (receiver.Traces, error) {
			own.AddrConfig.Endpoint = endpoint
			return inner.CreateTraces(ctx, quiet, &own, corrected)
		}
		return g, nil
	}
	return receiver.NewFactory(metadata.Type, inner.CreateDefaultConfig, receiver.WithTraces(create, metadata.TracesStability))
}
