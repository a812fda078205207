package awsxrayreceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tracewright/tracewright/receiver/awsxrayreceiver/internal/metadata"
)

// corrected is the pipeline for the collector's receiver: it corrects what that makes of segments, and counts what was accepted.
type corrected struct {
	consumer.Traces
	report *receiverhelper.ObsReport
	// last is the trace of the packet that ends all, see guard.drain.
	last    pcommon.TraceID
	drained func()
}

func newCorrected(next consumer.Traces, report *receiverhelper.ObsReport, last pcommon.TraceID) (c *corrected, drained <-chan struct{}) {
	done := make(chan struct{})
	return &corrected{next, report, last, sync.OnceFunc(func() { close(done) })}, done
}

// ConsumeTraces implements consumer.Traces.
func (c *corrected) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			if ss.Spans().Len() == 0 {
				continue
			}
			if ss.Spans().At(0).TraceID() == c.last {
				c.drained()
				return nil
			}
			nameNoService(rs.Resource(), ss.Spans().At(0))
			for _, span := range ss.Spans().All() {
				absolve(span)
			}
		}
	}
	spans := td.SpanCount()
	err := c.Traces.ConsumeTraces(ctx, td)
	if err == nil {
		c.report.EndTracesOp(c.report.StartTracesOp(ctx), metadata.Type.String(), spans, nil)
	}
	return err // the receiver counts it
}

// nameNoService takes the name of a subsegment that was sent by itself from where the receiver puts a segment's: it is that of a call, or of what is
// called, and a service to nobody. Which service it belongs to only the segment says.
func nameNoService(resource pcommon.Resource, first ptrace.Span) {
	if first.Kind() != ptrace.SpanKindInternal && first.Kind() != ptrace.SpanKindClient {
		return
	}
	resource.Attributes().Remove("service.name")
	_, database := first.Attributes().Get("db.system")
	if first.Kind() == ptrace.SpanKindClient && !database {
		first.Attributes().PutStr("peer.service", first.Name())
	}
}

// absolve unsets the status of a server that answered that the client was wrong, as the conventions have it.
func absolve(span ptrace.Span) {
	if span.Kind() != ptrace.SpanKindServer || span.Events().Len() > 0 || span.Status().Message() != "" {
		return
	}
	for _, key := range []string{"http.response.status_code", "http.status_code"} {
		if code, ok := span.Attributes().Get(key); ok {
			if code.Int() >= 400 && code.Int() < 500 {
				span.Status().SetCode(ptrace.StatusCodeUnset)
			}
			return
		}
	}
}

// uncounted leaves out what was accepted: the receiver counts each packet, and then its spans.
type uncounted struct{ metric.MeterProvider }

// Meter implements metric.MeterProvider.
func (p uncounted) Meter(name string, options ...metric.MeterOption) metric.Meter {
	return uncountedMeter{p.MeterProvider.Meter(name, options...)}
}

type uncountedMeter struct{ metric.Meter }

// Int64Counter implements metric.Meter.
func (m uncountedMeter) Int64Counter(name string, options ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	if name == "otelcol_receiver_accepted_spans" {
		return noop.Int64Counter{}, nil
	}
	return m.Meter.Int64Counter(name, options...)
}
