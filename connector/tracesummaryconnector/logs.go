package tracesummaryconnector

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// logsConnector makes a record of each trace, with its first release: what comes later makes none. A call is one hand-over, so that it is
// taken when its records are, and a call that is repeated repeats them.
type logsConnector struct {
	*source
	next consumer.Logs
}

func (*logsConnector) Start(context.Context, component.Host) error { return nil }

func (c *logsConnector) Shutdown(context.Context) error {
	c.telemetry.Shutdown()
	return nil
}

func (c *logsConnector) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	logs := plog.NewLogs()
	byTenant := make(map[string]plog.LogRecordSlice)
	now := pcommon.NewTimestampFromTime(time.Now())
	c.read(ctx, td, func(s *summary) {
		if !s.First() {
			return
		}
		records, ok := byTenant[s.Tenant]
		if !ok {
			rl := logs.ResourceLogs().AppendEmpty()
			c.describe(rl.Resource(), s.Tenant)
			sl := rl.ScopeLogs().AppendEmpty()
			c.scope(sl.Scope())
			records = sl.LogRecords()
			byTenant[s.Tenant] = records
		}
		writeRecord(records.AppendEmpty(), s, now)
	})
	n := logs.LogRecordCount()
	if n == 0 {
		return nil
	}
	if err := c.next.ConsumeLogs(ctx, logs); err != nil {
		return err
	}
	c.telemetry.ConnectorTracesummaryRecords.Add(ctx, int64(n))
	return nil
}

// writeRecord writes the record of a trace. Of a call that is repeated it is the same again where trace_assembly closed the call: its
// time of release is then the time of observation. The time of the record is the trace's end, as far as clocks are to be believed.
func writeRecord(record plog.LogRecord, s *summary, now pcommon.Timestamp) {
	observed := now
	if s.ReleasedAt > 0 {
		observed = pcommon.Timestamp(s.ReleasedAt)
	}
	record.SetObservedTimestamp(observed)
	if end := s.start + s.duration; s.start > 0 && end > 0 && end <= int64(observed)+int64(conventions.FutureStart) {
		record.SetTimestamp(pcommon.Timestamp(end))
	}
	record.SetEventName(conventions.EventTrace)
	record.SetTraceID(s.TraceID)
	severity, name := plog.SeverityNumberInfo, "INFO"
	if s.errors > 0 {
		severity, name = plog.SeverityNumberWarn, "WARN"
	}
	attrs := record.Attributes()
	if s.root >= 0 {
		root := &s.Spans[s.root]
		record.SetSpanID(root.SpanID())
		record.SetFlags(plog.LogRecordFlags(root.Flags() & 0xff))
		if root.Status().Code() == ptrace.StatusCodeError {
			severity, name = plog.SeverityNumberError, "ERROR"
		}
		if environment := text(conventions.Environment(root.Resource)); environment != "" {
			attrs.PutStr("deployment.environment.name", environment)
		}
	}
	record.SetSeverityNumber(severity)
	record.SetSeverityText(name)
	writeAttributes(attrs, s)
	record.Body().SetStr(sentence(s))
}

func writeAttributes(attrs pcommon.Map, s *summary) {
	attrs.PutInt(conventions.AttrDuration, s.duration)
	attrs.PutInt(conventions.AttrSpanCount, int64(s.spans))
	attrs.PutInt(conventions.AttrServiceCount, int64(s.services))
	attrs.PutInt(conventions.AttrErrorCount, int64(s.errors))
	if s.Outcome != "" {
		attrs.PutStr(conventions.AttrOutcome, s.Outcome)
	}
	if s.analysed {
		attrs.PutStr(conventions.AttrEntryService, s.entry.service)
		attrs.PutStr(conventions.AttrEntryOperation, s.entry.operation)
		attrs.PutInt(conventions.AttrMissingParents, int64(s.missingParents))
		attrs.PutInt(conventions.AttrErrorOrigins, int64(len(s.origins)))
	}
	if s.analysed && s.Whole() {
		attrs.PutInt(conventions.AttrRootDuration, s.pathTime)
	}
	if s.bottleneckSpan != "" {
		attrs.PutStr(conventions.AttrBottleneckService, s.bottleneck.service)
		attrs.PutStr(conventions.AttrBottleneckOperation, s.bottleneck.operation)
		attrs.PutStr(conventions.AttrBottleneckSpanID, s.bottleneckSpan)
		attrs.PutDouble(conventions.AttrBottleneckShare, s.bottleneckShare)
	}
	if len(s.origins) > 0 {
		first := &s.origins[0]
		attrs.PutStr(conventions.AttrErrorService, first.operation.service)
		attrs.PutStr(conventions.AttrErrorOperation, first.operation.operation)
		attrs.PutStr(conventions.AttrErrorFingerprint, first.fingerprint)
		if kind := errorType(s.Spans[first.at].Span); kind != "" {
			attrs.PutStr("error.type", kind)
		}
	}
	if unknown := s.unknown(); len(unknown) > 0 {
		list := attrs.PutEmptySlice(conventions.AttrUnknown)
		for _, name := range unknown {
			list.AppendEmpty().SetStr(name)
		}
	}
}

// errorType is what failed as the semantic conventions have it: error.type, else the type of the last exception.
func errorType(span ptrace.Span) string {
	if kind := conventions.Str(span.Attributes(), "error.type"); kind != "" {
		return text(kind)
	}
	kind := ""
	for _, event := range span.Events().All() {
		if event.Name() == "exception" {
			kind = cmp.Or(conventions.Str(event.Attributes(), "exception.type"), kind)
		}
	}
	return text(kind)
}

// sentence is the record for a reader.
func sentence(s *summary) string {
	took := time.Duration(s.duration)
	counts := fmt.Sprintf("spans %d, services %d, errors %d", s.spans, s.services, s.errors)
	if !s.analysed {
		return fmt.Sprintf("spans of a trace that was not analysed: %s; %s", took, counts)
	}
	words := fmt.Sprintf("%s of %s: %s; %s", s.entry.operation, s.entry.service, took, counts)
	if len(s.origins) > 0 {
		failed := s.origins[0].operation
		words += fmt.Sprintf("; failed first: %s of %s", failed.operation, failed.service)
	}
	return words
}
