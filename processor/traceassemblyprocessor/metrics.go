package traceassemblyprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor/internal/metadata"
)

// Reasons why a span is rejected.
const (
	rejectedTraceID = iota
	rejectedSpanID
	rejectedSize
	rejectedDepth
	rejectedReasons
)

var rejectedNames = [rejectedReasons]string{"zero_trace_id", "zero_span_id", "too_large", "too_deep"}

// rejections counts spans by reason.
type rejections [rejectedReasons]int

func (r *rejections) total() int {
	sum := 0
	for _, n := range r {
		sum += n
	}
	return sum
}

type refusal int

// Reasons why a request is refused.
const (
	refusedMemory refusal = iota
	refusedContext
	refusedStopped
	refusedTenant
	refusedJournal
	refusedMalformed
	refusals
)

type dropReason int

// Reasons why a call is dropped.
const (
	droppedPermanent dropReason = iota
	droppedShutdown
	dropReasons
)

// telemetry is the only place that touches instruments. Attribute sets are made once.
type telemetry struct {
	metadata *metadata.TelemetryBuilder
	refusals [refusals]metric.MeasurementOption
	rejects  [rejectedReasons]metric.MeasurementOption
	drops    [dropReasons]metric.MeasurementOption
	outcomes []metric.MeasurementOption // as in conventions.Outcomes
}

func newTelemetry(builder *metadata.TelemetryBuilder) *telemetry {
	t := &telemetry{metadata: builder}
	with := func(key, value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
	}
	for i, name := range [...]string{"memory", "context", "stopped", "tenant", "journal", "malformed"} {
		t.refusals[i] = with("reason", name)
	}
	for i, name := range rejectedNames {
		t.rejects[i] = with("reason", name)
	}
	for i, name := range [...]string{"permanent_error", "shutdown"} {
		t.drops[i] = with("reason", name)
	}
	for _, outcome := range conventions.Outcomes {
		t.outcomes = append(t.outcomes, with("outcome", outcome))
	}
	return t
}

// observe registers what is read when metrics are collected.
func (t *telemetry) observe(p *assemblyProcessor) error {
	open := func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(sumOf(p.shards, func(s *shard) int64 { return s.openTraces.Load() }))
		return nil
	}
	entries := func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(sumOf(p.shards, func(s *shard) int64 { return s.entriesLearned.Load() }))
		return nil
	}
	operations := func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(sumOf(p.shards, func(s *shard) int64 { return s.operationsLearned.Load() }))
		return nil
	}
	if err := t.metadata.RegisterProcessorTraceAssemblyEntryOperationsLearnedCallback(entries); err != nil {
		return err
	}
	if err := t.metadata.RegisterProcessorTraceAssemblyOperationsLearnedCallback(operations); err != nil {
		return err
	}
	spans := func(_ context.Context, o metric.Int64Observer) error { o.Observe(p.budget.spans.Load()); return nil }
	bytes := func(_ context.Context, o metric.Int64Observer) error { o.Observe(p.budget.held.Load()); return nil }
	if err := t.metadata.RegisterProcessorTraceAssemblyTracesOpenCallback(open); err != nil {
		return err
	}
	if err := t.metadata.RegisterProcessorTraceAssemblySpansInFlightCallback(spans); err != nil {
		return err
	}
	if err := t.metadata.RegisterProcessorTraceAssemblyBytesInFlightCallback(bytes); err != nil || p.ledger == nil {
		return err
	}
	journal := func(_ context.Context, o metric.Int64Observer) error { o.Observe(p.ledger.bytes()); return nil }
	return t.metadata.RegisterProcessorTraceAssemblyJournalBytesCallback(journal)
}

func sumOf(shards []*shard, number func(*shard) int64) (sum int64) {
	for _, s := range shards {
		sum += number(s)
	}
	return sum
}

func (t *telemetry) refused(why refusal) {
	t.metadata.ProcessorTraceAssemblyRequestsRefused.Add(context.Background(), 1, t.refusals[why])
}

// accepted counts the bytes of a request that was taken whole.
func (t *telemetry) accepted(bytes int) {
	t.metadata.ProcessorTraceAssemblyBytesReceived.Add(context.Background(), int64(bytes))
}

func (t *telemetry) received(spans int) {
	t.metadata.ProcessorTraceAssemblySpansReceived.Add(context.Background(), int64(spans))
}

func (t *telemetry) rejected(r *rejections) {
	for why, n := range r {
		if n > 0 {
			t.metadata.ProcessorTraceAssemblySpansRejected.Add(context.Background(), int64(n), t.rejects[why])
		}
	}
}

func (t *telemetry) turn(c turnCounts, evicted int) {
	ctx := context.Background()
	for outcome, n := range c.outcomes {
		if n > 0 {
			t.metadata.ProcessorTraceAssemblyReleases.Add(ctx, int64(n), t.outcomes[outcome])
		}
	}
	if c.duplicates > 0 {
		t.metadata.ProcessorTraceAssemblySpansDuplicate.Add(ctx, int64(c.duplicates))
	}
	if c.orphans > 0 {
		t.metadata.ProcessorTraceAssemblySpansOrphaned.Add(ctx, int64(c.orphans))
	}
	if c.conflicting > 0 {
		t.metadata.ProcessorTraceAssemblySpansConflicting.Add(ctx, int64(c.conflicting))
	}
	if c.waited > 0 {
		t.metadata.ProcessorTraceAssemblyTracesHeldForChild.Add(ctx, int64(c.waited))
	}
	if evicted > 0 {
		t.metadata.ProcessorTraceAssemblySkeletonEvictions.Add(ctx, int64(evicted))
	}
}

func (t *telemetry) late(by time.Duration) {
	t.metadata.ProcessorTraceAssemblySpansLate.Record(context.Background(), max(by, 0).Seconds())
}

func (t *telemetry) quietPeriod(d time.Duration) {
	t.metadata.ProcessorTraceAssemblyQuietPeriod.Record(context.Background(), d.Seconds())
}

// released records how long ago the last and the first span of a release came.
func (t *telemetry) released(sinceLast, sinceFirst time.Duration) {
	t.metadata.ProcessorTraceAssemblyReleaseDelay.Record(context.Background(), sinceLast.Seconds())
	t.metadata.ProcessorTraceAssemblyReleaseHold.Record(context.Background(), sinceFirst.Seconds())
}

func (t *telemetry) handedOn(c *call) {
	t.metadata.ProcessorTraceAssemblyCallsHandedOn.Add(context.Background(), 1)
	t.metadata.ProcessorTraceAssemblySpansReleased.Add(context.Background(), int64(c.spans))
}

func (t *telemetry) retried() {
	t.metadata.ProcessorTraceAssemblyCallsRetried.Add(context.Background(), 1)
}

func (t *telemetry) kept(c *call) {
	t.metadata.ProcessorTraceAssemblySpansKept.Add(context.Background(), int64(c.spans))
}

func (t *telemetry) replayed(spans int) {
	t.metadata.ProcessorTraceAssemblySpansReplayed.Add(context.Background(), int64(spans))
}

func (t *telemetry) journalSynced(took time.Duration) {
	t.metadata.ProcessorTraceAssemblyJournalSync.Record(context.Background(), took.Seconds())
}

func (t *telemetry) journalFailed() {
	t.metadata.ProcessorTraceAssemblyJournalFailures.Add(context.Background(), 1)
}

func (t *telemetry) dropped(c *call, why dropReason) {
	t.metadata.ProcessorTraceAssemblyCallsDropped.Add(context.Background(), 1, t.drops[why])
	t.metadata.ProcessorTraceAssemblySpansDropped.Add(context.Background(), int64(c.spans), t.drops[why])
}
