-- A row for each trace. A release adds a part of it, and parts are put together by merges, or by who reads them: all columns are sums,
-- smallest or largest values or sets, so that it does not matter in which order they come, nor in which insert.
--
-- A search reads some rows here and there, and most of their columns: small granules and blocks halve what that costs, for 0.6 bytes a span, and
-- with LZ4 it takes a quarter less again, for 0.9.
CREATE TABLE IF NOT EXISTS {{table "traces"}} {{on_cluster}} (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Quarter DateTime('UTC') CODEC(Delta, ZSTD(1)), -- of an hour, of the release
    Id FixedString(16) CODEC(NONE),
    FirstReleasedAt SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(Delta, LZ4HC(3)),
    LastReleasedAt SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(Delta, ZSTD(1)),
    Releases SimpleAggregateFunction(sum, UInt64) CODEC(LZ4HC(3)),
    -- Releases that nobody has analysed, or that were taken apart since.
    Unexplained SimpleAggregateFunction(sum, UInt64) CODEC(LZ4HC(3)),
    Version SimpleAggregateFunction(max, UInt32) CODEC(LZ4HC(3)),
    -- Whether it is not a late one, version, part, release and outcome of the release that says the trace's outcome.
    Outcome SimpleAggregateFunction(max, Tuple(UInt8, UInt32, UInt32, Int64, String)) CODEC(LZ4HC(3)),
    -- Whether no root is there, start, service and operation of the entry.
    Entry SimpleAggregateFunction(min, Tuple(UInt8, Int64, String, String)) CODEC(LZ4HC(3)),
    -- Unix nanoseconds; a start of 9223372036854775807 is none.
    Start SimpleAggregateFunction(min, Int64) CODEC(Delta, LZ4HC(3)),
    End SimpleAggregateFunction(max, Int64) CODEC(Delta, LZ4HC(3)),
    LongestSpan SimpleAggregateFunction(max, Int64) CODEC(LZ4HC(3)),
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(LZ4HC(3)),
    Errors SimpleAggregateFunction(sum, UInt64) CODEC(LZ4HC(3)),
    MissingParents SimpleAggregateFunction(sum, UInt64) CODEC(LZ4HC(3)),
    -- A bit for each kind of span; 1 for unspecified ones and those that OTLP does not know.
    Kinds SimpleAggregateFunction(groupBitOr, UInt8) CODEC(LZ4HC(3)),
    -- Whether there are spans that failed, and others.
    Failed SimpleAggregateFunction(max, UInt8) CODEC(LZ4HC(3)),
    Fine SimpleAggregateFunction(max, UInt8) CODEC(LZ4HC(3)),
    -- Services by their normalised names, and the other names under which senders have them.
    Services SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(LZ4HC(3)),
    Senders SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(LZ4HC(3)),
    -- Share, span id, service and operation.
    Bottleneck SimpleAggregateFunction(max, Tuple(Float64, String, String, String)) CODEC(LZ4HC(3)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Quarter)
ORDER BY (Tenant, Quarter, Id)
{{ttl "traces" "Quarter"}}
SETTINGS index_granularity = 256, min_compress_block_size = 2048, ttl_only_drop_parts = 1{{replicated_deduplication}};

-- Each release as it is inserted, for the tables of traces: nothing is kept here.
CREATE TABLE IF NOT EXISTS {{table "trace_releases"}} {{on_cluster}} (
    Tenant LowCardinality(String),
    Quarter DateTime('UTC'),
    Id FixedString(16),
    FirstReleasedAt DateTime64(9, 'UTC'),
    LastReleasedAt DateTime64(9, 'UTC'),
    Releases UInt64,
    Unexplained UInt64,
    Version UInt32,
    Outcome Tuple(UInt8, UInt32, UInt32, Int64, String),
    Entry Tuple(UInt8, Int64, String, String),
    Start Int64,
    End Int64,
    LongestSpan Int64,
    Spans UInt64,
    Errors UInt64,
    MissingParents UInt64,
    Kinds UInt8,
    Failed UInt8,
    Fine UInt8,
    Services Array(String),
    Senders Array(String),
    Bottleneck Tuple(Float64, String, String, String)
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "trace_releases_view"}} {{on_cluster}} TO {{table "trace_releases"}} AS
SELECT
    Tenant, toStartOfFifteenMinutes(ReleasedAt) AS Quarter, Id, ReleasedAt AS FirstReleasedAt, ReleasedAt AS LastReleasedAt,
    1 AS Releases,
    -- A number of spans that is not the release's own was written before the spans were assembled, or for another part of them.
    NOT (toUInt64OrZero(Summary['tracewright.span_count']) = Spans) AS Unexplained,
    Version,
    (OutcomeName NOT IN ('', 'late'), Version, Part, toUnixTimestamp64Nano(ReleasedAt), OutcomeName) AS Outcome,
    (NOT Rooted, Start, if(Unexplained, '', Summary['tracewright.entry.service']),
        if(Unexplained, '', Summary['tracewright.entry.operation'])) AS Entry,
    if(Unexplained, EarliestStart, if(StartGiven > 0, StartGiven, 9223372036854775807)) AS Start,
    if(Unexplained, LatestEnd, StartGiven + toInt64OrZero(Summary['tracewright.duration'])) AS End,
    LongestSpan, Spans,
    if(Unexplained, FailedSpans, toUInt64OrZero(Summary['tracewright.error_count'])) AS Errors,
    if(Unexplained, 0, toUInt64OrZero(Summary['tracewright.missing_parents'])) AS MissingParents,
    Kinds, FailedSpans > 0 AS Failed, FailedSpans < Spans AS Fine,
    Services, arrayFilter(s -> NOT has(Services, s), SenderNames) AS Senders,
    if(Unexplained, (0, '', '', ''), (toFloat64OrZero(Summary['tracewright.bottleneck.share']), Summary['tracewright.bottleneck.span_id'],
        Summary['tracewright.bottleneck.service'], Summary['tracewright.bottleneck.operation'])) AS Bottleneck
FROM (
    SELECT
        Tenant, ReleasedAt, Id, count() AS Spans,
        argMinIf(SpanAttributes, ParentSpanId != '', SummarySpans > 0) AS Summary,
        toInt64OrZero(Summary['tracewright.start']) AS StartGiven,
        max(t.Version) AS Version, max(t.Part) AS Part, anyIf(t.Outcome, t.Version > 0) AS OutcomeName,
        max(ParentSpanId = '') AS Rooted,
        minIf(StartTime, StartTime > 0) AS FirstStart,
        if(FirstStart = 0, 9223372036854775807, FirstStart) AS EarliestStart,
        max(EndTime) AS LatestEnd, max(SpanDuration) AS LongestSpan, countIf(t.Failed) AS FailedSpans,
        groupBitOr(transform(SpanKind, ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'], [1, 2, 4, 8, 16, 32]::Array(UInt8), 1::UInt8)) AS Kinds,
        groupUniqArray(Service) AS Services, groupUniqArrayIf(Sender, Sender != Service) AS SenderNames
    FROM {{table "otel_traces"}} AS t
    GROUP BY Tenant, ReleasedAt, Id
);

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "traces_view"}} {{on_cluster}} TO {{table "traces"}} AS
SELECT * FROM {{table "trace_releases"}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "trace_times_view"}} {{on_cluster}} TO {{table "trace_times"}} AS
SELECT Tenant, Id, FirstReleasedAt AS ReleasedAt FROM {{table "trace_releases"}};

-- The times of the traces that were released in a quarter of an hour: where a search looks. Those whose clock is far off, Apart, stand by
-- themselves, so that one sender does not have every window look at every quarter.
CREATE TABLE IF NOT EXISTS {{table "trace_quarters"}} {{on_cluster}} (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Quarter DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Apart UInt8 CODEC(ZSTD(1)), -- 1 where traces started more than an hour before their release, 2 more than a day, 3 behind it
    Earliest SimpleAggregateFunction(min, Int64) CODEC(Delta, ZSTD(1)), -- start, Unix nanoseconds
    Latest SimpleAggregateFunction(max, Int64) CODEC(Delta, ZSTD(1)),
    -- How long behind its release a trace started at most, nanoseconds: rarely above 0.
    Ahead SimpleAggregateFunction(max, Int64) CODEC(Delta, ZSTD(1)),
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Quarter)
ORDER BY (Tenant, Quarter, Apart)
{{ttl "trace_quarters" "Quarter"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "trace_quarters_view"}} {{on_cluster}} TO {{table "trace_quarters"}} AS
WITH
    if(Start = 9223372036854775807, 0, Start) AS Given,
    toUnixTimestamp64Nano(FirstReleasedAt) AS Released
SELECT
    Tenant, Quarter, multiIf(Given > Released, 3, Released - Given > 86400000000000, 2, Released - Given > 3600000000000, 1, 0)::UInt8 AS Apart,
    min(Given) AS Earliest, max(Given) AS Latest, max(least(Given - Released, 3600000000000)) AS Ahead, sum(t.Spans) AS Spans
FROM {{table "trace_releases"}} AS t
GROUP BY Tenant, Quarter, Apart;
