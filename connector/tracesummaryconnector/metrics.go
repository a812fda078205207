package tracesummaryconnector

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

// metricsConnector adds up what it is given and hands the sums on at each flush. One goroutine flushes, and after it Shutdown; intervals
// touch, so that a consumer that adds deltas up sees no gap.
type metricsConnector struct {
	*source
	config MetricsConfig
	next   consumer.Metrics
	cancel context.CancelFunc // of the flushes; nil before start
	done   chan struct{}      // closed when none runs any more
	stop   sync.Once

	mu    sync.Mutex // guards the fields below
	table *table
	start pcommon.Timestamp // of the interval

	// refused is what the next consumer did not take, nil if there is none. While there is some, the table goes on, so that there is never
	// more than one. It belongs to whoever flushes.
	refused *pmetric.Metrics
}

func newMetricsConnector(source *source, config MetricsConfig, next consumer.Metrics) *metricsConnector {
	return &metricsConnector{
		source: source, config: config, next: next,
		table: newTable(config.MaxSeries, config.MaxBuckets), start: pcommon.NewTimestampFromTime(time.Now()),
	}
}

func (c *metricsConnector) Start(context.Context, component.Host) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.done = cancel, make(chan struct{})
	go func() {
		defer close(c.done)
		ticker := time.NewTicker(c.config.FlushInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.flush(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// Shutdown hands on what was counted since the last flush, if the next consumer takes it. It returns when ctx ends, too.
func (c *metricsConnector) Shutdown(ctx context.Context) (err error) {
	c.stop.Do(func() {
		defer c.telemetry.Shutdown()
		if c.cancel == nil {
			return
		}
		c.cancel()
		select {
		case <-c.done:
		case <-ctx.Done():
			err = fmt.Errorf("wait for the last flush: %w", ctx.Err())
			return
		}
		c.flush(ctx)
		if c.refused == nil {
			return
		}
		lost := c.refused.DataPointCount()
		if c.config.Temporality == TemporalityDelta {
			lost += len(c.table.rows) // none, unless what is refused is older
		}
		c.dropped(ctx, lost)
	})
	return err
}

func (c *metricsConnector) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	now := pcommon.NewTimestampFromTime(time.Now())
	c.mu.Lock()
	c.read(ctx, td, func(s *summary) { c.table.addSummary(s, now) })
	overflowed := c.table.takeOverflowed()
	c.mu.Unlock()
	if overflowed > 0 {
		c.telemetry.ConnectorTracesummaryOverflowed.Add(ctx, overflowed)
	}
	return nil
}

// flush hands on what was refused before, and then what was counted since.
func (c *metricsConnector) flush(ctx context.Context) {
	if c.refused == nil || c.send(ctx, *c.refused) {
		c.send(ctx, c.collect())
	}
}

// send says whether the metrics are done with: taken, or lost because repeating would not help.
func (c *metricsConnector) send(ctx context.Context, md pmetric.Metrics) (done bool) {
	points := md.DataPointCount()
	if points == 0 {
		return true
	}
	sent := pmetric.NewMetrics() // the consumer may change what it is given
	md.CopyTo(sent)
	err := c.next.ConsumeMetrics(ctx, sent)
	c.refused = nil
	if err == nil {
		return true
	}
	if done = consumererror.IsPermanent(err); done {
		c.dropped(ctx, points)
	} else {
		c.refused = &md
	}
	c.telemetry.ConnectorTracesummaryFlushFailures.Add(ctx, 1)
	c.set.Logger.Warn("metrics were refused", zap.Error(err), zap.Bool("dropped", done))
	return done
}

// collect makes metrics of what was counted, and begins the next interval.
func (c *metricsConnector) collect() pmetric.Metrics {
	c.mu.Lock()
	defer c.mu.Unlock()
	cumulative := c.config.Temporality == TemporalityCumulative
	end := pcommon.NewTimestampFromTime(time.Now())
	md := c.write(c.table, interval{c.start, end}, c.config.Temporality.pdata())
	c.table.next(cumulative)
	if !cumulative {
		c.start = end
	}
	return md
}

func (c *metricsConnector) dropped(ctx context.Context, points int) {
	if points > 0 {
		c.telemetry.ConnectorTracesummaryPointsDropped.Add(ctx, int64(points))
	}
}
