-- The spans. The first columns are those that the clickhouse exporter of the OpenTelemetry Collector writes (v0.161, without JSON);
-- the others follow from them, and whoever writes the first ones writes all.
--
-- Rows stand by their release and, within it, by trace: the newest are read first and alone, and a trace is read in one piece. Partitions
-- and retention go by the time of release too, because a span's own times may be anything. Small granules cost 3 bytes a span: a trace is
-- read as fast as all of its granule.
--
-- A search reads single granules of the columns by which it finds spans; small blocks spare it the unpacking of their neighbours.
--
-- Values of attributes repeat so much that a dictionary of them halves the table. What follows from other columns by simple arithmetic is
-- not stored (ALIAS); views and indexes use it like any other column.
--
-- _block_number tells the calls apart, and _block_offset the order of the spans in a call.
CREATE TABLE IF NOT EXISTS {{table "otel_traces"}} {{on_cluster}} (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1)),
    ScopeName LowCardinality(String) CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),

    -- What the annotations say, and times as numbers. Times that an Int64 of nanoseconds cannot hold count as 0.
    Tenant LowCardinality(String) MATERIALIZED {{resource "tracewright.tenant"}} CODEC(ZSTD(1)),
    -- Spans that no trace_assembly released count as released when they are inserted.
    ReleasedAt DateTime64(9, 'UTC') MATERIALIZED fromUnixTimestamp64Nano(
        if(toInt64OrZero({{resource "tracewright.released_at"}}) > 0,
            toInt64OrZero({{resource "tracewright.released_at"}}), toUnixTimestamp64Nano(now64(9))), 'UTC') CODEC(Delta, ZSTD(1)) SETTINGS (min_compress_block_size = 2048),
    Id FixedString(16) MATERIALIZED toFixedString(substring(unhex(TraceId), 1, 16), 16) CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 2048),
    StartTime Int64 ALIAS greatest(toUnixTimestamp64Nano(Timestamp), 0),
    EndTime Int64 ALIAS greatest(reinterpretAsInt64(reinterpretAsUInt64(toUnixTimestamp64Nano(Timestamp)) + Duration), 0),
    -- A span that ends before it starts has no duration, nor has one that was sent without a start.
    SpanDuration Int64 ALIAS if(StartTime = 0 AND EndTime > 31536000000000000, 0, greatest(EndTime - StartTime, 0)),
    Failed Bool ALIAS StatusCode = 'Error',
    Sender LowCardinality(String) ALIAS if(ServiceName = '', 'unknown_service', ServiceName),
    Service LowCardinality(String) MATERIALIZED
        coalesce(nullIf({{span "tracewright.service"}}, ''), nullIf(ServiceName, ''), 'unknown_service') CODEC(ZSTD(1)),
    Operation LowCardinality(String) MATERIALIZED
        if({{span "tracewright.operation"}} = '', SpanName, {{span "tracewright.operation"}}) CODEC(ZSTD(1)),
    EntryService LowCardinality(String) MATERIALIZED {{span "tracewright.entry.service"}} CODEC(ZSTD(1)),
    EntryOperation LowCardinality(String) MATERIALIZED {{span "tracewright.entry.operation"}} CODEC(ZSTD(1)),
    Category LowCardinality(String) MATERIALIZED {{span "tracewright.category"}} CODEC(ZSTD(1)),
    -- Not 0 on the span that speaks for its release.
    SummarySpans UInt64 MATERIALIZED toUInt64OrZero({{span "tracewright.span_count"}}) CODEC(ZSTD(1)),
    Version UInt32 MATERIALIZED toUInt32OrZero({{span "tracewright.assembly.version"}}) CODEC(ZSTD(1)),
    Part UInt32 MATERIALIZED toUInt32OrZero({{span "tracewright.assembly.part"}}) CODEC(ZSTD(1)),
    Outcome LowCardinality(String) MATERIALIZED {{span "tracewright.assembly.outcome"}} CODEC(ZSTD(1)),
    -- 0 where there is none, and where it is no number that fits.
    HttpStatusCode UInt16 MATERIALIZED toUInt16OrZero({{span "http.response.status_code"}}) CODEC(ZSTD(1)),
    -- The span's attributes and their keys, hashed: what a search compares instead of the attributes, which take ten times as long to read.
    -- Annotations are left out, and what would take much room and nobody looks for.
    AttributePairs Array(UInt64) MATERIALIZED arrayFilter((h, k) -> {{searched "k"}},
        arrayMap((k, v) -> cityHash64(k, v), mapKeys(SpanAttributes), mapValues(SpanAttributes)), mapKeys(SpanAttributes)) CODEC(ZSTD(1)),
    AttributeKeys Array(UInt64) MATERIALIZED arrayFilter((h, k) -> {{searched "k"}},
        arrayMap(k -> cityHash64(k), mapKeys(SpanAttributes)), mapKeys(SpanAttributes)) CODEC(ZSTD(1)),
    -- Of which insert the span is, by the query's id; see repeats.go.
    Insert UInt64 MATERIALIZED sipHash64(initialQueryID()) CODEC(ZSTD(1)),
    -- Service and operation together, hashed, under each of their names: one as a rule, which a search reads instead of four columns.
    OperationNames Array(UInt64) MATERIALIZED {{operation_names}} CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 2048),

    INDEX span_attributes AttributePairs TYPE bloom_filter(0.025) GRANULARITY 1,
    -- A value that many spans have may be rare on those of one operation.
    INDEX operation_attributes {{operation_pairs}} TYPE bloom_filter(0.025) GRANULARITY 4,
    INDEX operation_names OperationNames TYPE bloom_filter(0.025) GRANULARITY 8,
    INDEX resource_attributes arrayMap((k, v) -> cityHash64(k, v), mapKeys(ResourceAttributes), mapValues(ResourceAttributes))
        TYPE bloom_filter(0.05) GRANULARITY 8,
    INDEX service Service TYPE set(100) GRANULARITY 8,
    INDEX operation Operation TYPE bloom_filter(0.05) GRANULARITY 8,
    INDEX duration SpanDuration TYPE minmax GRANULARITY 8
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toDate(ReleasedAt)
ORDER BY (Tenant, ReleasedAt, Id)
{{ttl "otel_traces" "ReleasedAt"}}
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, enable_block_number_column = 1, enable_block_offset_column = 1{{replicated_deduplication}};

{{if repeats}}
-- Which inserts brought the traces that were deleted, which nothing else tells any more: to the tables of spans, by Insert, and to those that views fill, by
-- Inserts. An insert that is repeated brings none of them back.
CREATE TABLE IF NOT EXISTS {{table "deleted_inserts"}} {{on_cluster}} (
    Insert UInt64,
    Tenant LowCardinality(String),
    Id FixedString(16),
    ReleasedAt DateTime('UTC')
) ENGINE = {{engine "ReplacingMergeTree"}}
PARTITION BY toDate(ReleasedAt)
ORDER BY (Insert, Tenant, Id)
{{ttl "deleted_inserts" "ReleasedAt"}}
SETTINGS ttl_only_drop_parts = 1;

-- Who sends an insert again, because it may have been cut, sends it to the first of these, and then to the second one: what is in
-- otel_traces completes the tables that views fill, and what is not begins anew. See repeats.go.
CREATE TABLE IF NOT EXISTS {{table "otel_traces_repeated"}} {{on_cluster}} AS {{table "otel_traces"}} ENGINE = Null;

CREATE TABLE IF NOT EXISTS {{table "otel_traces_again"}} {{on_cluster}} AS {{table "otel_traces"}} ENGINE = Null;

CREATE TABLE IF NOT EXISTS {{table "otel_traces_missing"}} {{on_cluster}} AS {{table "otel_traces"}} ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "otel_traces_repeated_rows"}} {{on_cluster}} TO {{table "otel_traces_again"}} AS
SELECT * FROM {{table "otel_traces_repeated"}}
WHERE 0 < (SELECT count() FROM {{table "otel_traces"}} WHERE Insert = sipHash64(initialQueryID())
    AND Tenant IN (SELECT Tenant FROM {{table "otel_traces_repeated"}})
    AND ReleasedAt >= (SELECT min(if({{resource "tracewright.released_at"}} = '', ReleasedAt - toIntervalMinute(15), ReleasedAt)) FROM {{table "otel_traces_repeated"}})
    AND ReleasedAt <= (SELECT max(ReleasedAt) FROM {{table "otel_traces_repeated"}}))
    AND (Tenant, Id) NOT IN (SELECT Tenant, Id FROM {{table "deleted_inserts"}} WHERE Insert = sipHash64(initialQueryID()));

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "otel_traces_missing_rows"}} {{on_cluster}} TO {{table "otel_traces"}} AS
SELECT * FROM {{table "otel_traces_missing"}}
WHERE 0 = (SELECT count() FROM {{table "otel_traces"}} WHERE Insert = sipHash64(initialQueryID())
    AND Tenant IN (SELECT Tenant FROM {{table "otel_traces_missing"}})
    AND ReleasedAt >= (SELECT min(if({{resource "tracewright.released_at"}} = '', ReleasedAt - toIntervalMinute(15), ReleasedAt)) FROM {{table "otel_traces_missing"}})
    AND ReleasedAt <= (SELECT max(ReleasedAt) FROM {{table "otel_traces_missing"}}))
    AND 0 = (SELECT count() FROM {{table "deleted_inserts"}} WHERE Insert = sipHash64(initialQueryID()));
{{end}}

-- When the releases of a trace were made: where its spans and its row are. What fills it stands beside the rows of traces.
CREATE TABLE IF NOT EXISTS {{table "trace_times"}} {{on_cluster}} (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Id FixedString(16) CODEC(NONE),
    ReleasedAt DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)){{inserts}}
) ENGINE = {{engine "MergeTree"}}
PARTITION BY toDate(ReleasedAt)
ORDER BY (Tenant, Id)
{{ttl "trace_times" "ReleasedAt"}}
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1{{replicated_deduplication}};
