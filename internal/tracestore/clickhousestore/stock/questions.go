package stock

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Trace reads all columns of a trace's spans through the table of times, as the exporter's README has it, and answers how many there are.
func (c *Client) Trace(ctx context.Context, id pcommon.TraceID) (spans int, err error) {
	times := c.table("otel_traces_trace_id_ts")
	err = c.each(ctx, `WITH $1 AS trace_id,
    (SELECT min(Start) FROM `+times+` WHERE TraceId = trace_id) AS start,
    (SELECT max(End) + 1 FROM `+times+` WHERE TraceId = trace_id) AS end
SELECT Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName, ScopeVersion,
    SpanAttributes, Duration, StatusCode, StatusMessage, Events.Timestamp, Events.Name, Events.Attributes,
    Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
FROM `+c.table("otel_traces")+`
WHERE TraceId = trace_id AND Timestamp >= start AND Timestamp <= end
ORDER BY Timestamp`, func(rows driver.Rows) error {
		var row spanRow
		spans++
		return row.scan(rows)
	}, id.String())
	if err != nil {
		return 0, fmt.Errorf("read trace: %w", err)
	}
	return spans, nil
}

// spanRow is a row of otel_traces.
type spanRow struct {
	timestamp                                                                                   time.Time
	traceID, spanID, parentSpanID, traceState, spanName, spanKind, service, scope, scopeVersion string
	resource, attributes                                                                        map[string]string
	duration                                                                                    uint64
	statusCode, statusMessage                                                                   string
	eventTimes                                                                                  []time.Time
	eventNames                                                                                  []string
	eventAttributes, linkAttributes                                                             []map[string]string
	linkTraces, linkSpans, linkStates                                                           []string
}

func (r *spanRow) scan(rows driver.Rows) error {
	return rows.Scan(&r.timestamp, &r.traceID, &r.spanID, &r.parentSpanID, &r.traceState, &r.spanName, &r.spanKind, &r.service, &r.resource,
		&r.scope, &r.scopeVersion, &r.attributes, &r.duration, &r.statusCode, &r.statusMessage, &r.eventTimes, &r.eventNames, &r.eventAttributes,
		&r.linkTraces, &r.linkSpans, &r.linkStates, &r.linkAttributes)
}

// Search is a question for traces with a span of an operation that has an attribute.
type Search struct {
	Service, Operation string
	Key, Value         string
	Start, End         time.Time
	Limit              int
}

// Search reads the ids of the newest traces, then what a list shows of each: entry, start, duration, spans, errors, services. It answers how many
// there are.
func (c *Client) Search(ctx context.Context, search *Search) (traces int, err error) {
	var ids []string
	var first, last time.Time
	err = c.each(ctx, `SELECT TraceId, min(Timestamp), max(Timestamp) AS newest FROM `+c.table("otel_traces")+`
WHERE ServiceName = $1 AND SpanName = $2 AND SpanAttributes[$3] = $4 AND Timestamp >= $5 AND Timestamp < $6
GROUP BY TraceId ORDER BY newest DESC LIMIT $7`, func(rows driver.Rows) error {
		var id string
		var from, to time.Time
		if err := rows.Scan(&id, &from, &to); err != nil {
			return err
		}
		if ids = append(ids, id); len(ids) == 1 || from.Before(first) {
			first = from
		}
		if to.After(last) {
			last = to
		}
		return nil
	}, search.Service, search.Operation, search.Key, search.Value, search.Start, search.End, search.Limit)
	if err != nil {
		return 0, fmt.Errorf("find traces: %w", err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	// A trace's other spans are not far from the one that was found.
	const around = 5 * time.Minute
	err = c.each(ctx, `SELECT TraceId, argMin(ServiceName, (ParentSpanId != '', Timestamp)), argMin(SpanName, (ParentSpanId != '', Timestamp)),
    min(Timestamp) AS start, max(toUnixTimestamp64Nano(Timestamp) + Duration) - toUnixTimestamp64Nano(start), count(), countIf(StatusCode = 'Error'),
    groupUniqArray(ServiceName)
FROM `+c.table("otel_traces")+` WHERE TraceId IN ($1) AND Timestamp >= $2 AND Timestamp <= $3 GROUP BY TraceId`, func(rows driver.Rows) error {
		var id, service, operation string
		var start time.Time
		var duration int64
		var spans, failed uint64
		var services []string
		traces++
		return rows.Scan(&id, &service, &operation, &start, &duration, &spans, &failed, &services)
	}, ids, first.Add(-around), last.Add(around))
	if err != nil {
		return 0, fmt.Errorf("read traces: %w", err)
	}
	return traces, nil
}
