CREATE DATABASE IF NOT EXISTS `tracewright` ON CLUSTER `main`;

CREATE TABLE IF NOT EXISTS `tracewright`.`tracewright_migrations` ON CLUSTER `main` (
    Number UInt32,
    Name String,
    AppliedAt DateTime DEFAULT now()
) ENGINE = ReplicatedReplacingMergeTree
ORDER BY Number;

-- 0001_spans

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
CREATE TABLE IF NOT EXISTS `tracewright`.`otel_traces` ON CLUSTER `main` (
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
    Tenant LowCardinality(String) MATERIALIZED mapValues(ResourceAttributes)[indexOf(mapKeys(ResourceAttributes), 'tracewright.tenant')] CODEC(ZSTD(1)),
    -- Spans that no trace_assembly released count as released when they are inserted.
    ReleasedAt DateTime64(9, 'UTC') MATERIALIZED fromUnixTimestamp64Nano(
        if(toInt64OrZero(mapValues(ResourceAttributes)[indexOf(mapKeys(ResourceAttributes), 'tracewright.released_at')]) > 0,
            toInt64OrZero(mapValues(ResourceAttributes)[indexOf(mapKeys(ResourceAttributes), 'tracewright.released_at')]), toUnixTimestamp64Nano(now64(9))), 'UTC') CODEC(Delta, ZSTD(1)) SETTINGS (min_compress_block_size = 2048),
    Id FixedString(16) MATERIALIZED toFixedString(substring(unhex(TraceId), 1, 16), 16) CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 2048),
    StartTime Int64 ALIAS greatest(toUnixTimestamp64Nano(Timestamp), 0),
    EndTime Int64 ALIAS greatest(reinterpretAsInt64(reinterpretAsUInt64(toUnixTimestamp64Nano(Timestamp)) + Duration), 0),
    -- A span that ends before it starts has no duration, nor has one that was sent without a start.
    SpanDuration Int64 ALIAS if(StartTime = 0 AND EndTime > 31536000000000000, 0, greatest(EndTime - StartTime, 0)),
    Failed Bool ALIAS StatusCode = 'Error',
    Sender LowCardinality(String) ALIAS if(ServiceName = '', 'unknown_service', ServiceName),
    Service LowCardinality(String) MATERIALIZED
        coalesce(nullIf(mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.service')], ''), nullIf(ServiceName, ''), 'unknown_service') CODEC(ZSTD(1)),
    Operation LowCardinality(String) MATERIALIZED
        if(mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.operation')] = '', SpanName, mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.operation')]) CODEC(ZSTD(1)),
    EntryService LowCardinality(String) MATERIALIZED mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.entry.service')] CODEC(ZSTD(1)),
    EntryOperation LowCardinality(String) MATERIALIZED mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.entry.operation')] CODEC(ZSTD(1)),
    Category LowCardinality(String) MATERIALIZED mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.category')] CODEC(ZSTD(1)),
    -- Not 0 on the span that speaks for its release.
    SummarySpans UInt64 MATERIALIZED toUInt64OrZero(mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.span_count')]) CODEC(ZSTD(1)),
    Version UInt32 MATERIALIZED toUInt32OrZero(mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.assembly.version')]) CODEC(ZSTD(1)),
    Part UInt32 MATERIALIZED toUInt32OrZero(mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.assembly.part')]) CODEC(ZSTD(1)),
    Outcome LowCardinality(String) MATERIALIZED mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'tracewright.assembly.outcome')] CODEC(ZSTD(1)),
    -- 0 where there is none, and where it is no number that fits.
    HttpStatusCode UInt16 MATERIALIZED toUInt16OrZero(mapValues(SpanAttributes)[indexOf(mapKeys(SpanAttributes), 'http.response.status_code')]) CODEC(ZSTD(1)),
    -- The span's attributes and their keys, hashed: what a search compares instead of the attributes, which take ten times as long to read.
    -- Annotations are left out, and what would take much room and nobody looks for.
    AttributePairs Array(UInt64) MATERIALIZED arrayFilter((h, k) -> NOT (startsWith(k, 'tracewright.') OR k IN ('network.peer.port', 'net.sock.peer.port', 'client.port', 'thread.id')),
        arrayMap((k, v) -> cityHash64(k, v), mapKeys(SpanAttributes), mapValues(SpanAttributes)), mapKeys(SpanAttributes)) CODEC(ZSTD(1)),
    AttributeKeys Array(UInt64) MATERIALIZED arrayFilter((h, k) -> NOT (startsWith(k, 'tracewright.') OR k IN ('network.peer.port', 'net.sock.peer.port', 'client.port', 'thread.id')),
        arrayMap(k -> cityHash64(k), mapKeys(SpanAttributes)), mapKeys(SpanAttributes)) CODEC(ZSTD(1)),
    -- Of which insert the span is, by the query's id; see repeats.go.
    Insert UInt64 MATERIALIZED sipHash64(initialQueryID()) CODEC(ZSTD(1)),
    -- Service and operation together, hashed, under each of their names: one as a rule, which a search reads instead of four columns.
    OperationNames Array(UInt64) MATERIALIZED arrayDistinct([cityHash64(Service, Operation), cityHash64(if(ServiceName = '', 'unknown_service', ServiceName), Operation), cityHash64(Service, SpanName), cityHash64(if(ServiceName = '', 'unknown_service', ServiceName), SpanName)]) CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 2048),

    INDEX span_attributes AttributePairs TYPE bloom_filter(0.025) GRANULARITY 1,
    -- A value that many spans have may be rare on those of one operation.
    INDEX operation_attributes arrayFlatten(arrayMap(o -> arrayMap(p -> bitXor(p, o), AttributePairs), OperationNames)) TYPE bloom_filter(0.025) GRANULARITY 4,
    INDEX operation_names OperationNames TYPE bloom_filter(0.025) GRANULARITY 8,
    INDEX resource_attributes arrayMap((k, v) -> cityHash64(k, v), mapKeys(ResourceAttributes), mapValues(ResourceAttributes))
        TYPE bloom_filter(0.05) GRANULARITY 8,
    INDEX service Service TYPE set(100) GRANULARITY 8,
    INDEX operation Operation TYPE bloom_filter(0.05) GRANULARITY 8,
    INDEX duration SpanDuration TYPE minmax GRANULARITY 8
) ENGINE = ReplicatedMergeTree
PARTITION BY toDate(ReleasedAt)
ORDER BY (Tenant, ReleasedAt, Id)
TTL toDateTime(ReleasedAt) + toIntervalSecond(2592000)
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, enable_block_number_column = 1, enable_block_offset_column = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;



-- When the releases of a trace were made: where its spans and its row are. What fills it stands beside the rows of traces.
CREATE TABLE IF NOT EXISTS `tracewright`.`trace_times` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Id FixedString(16) CODEC(NONE),
    ReleasedAt DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1))
) ENGINE = ReplicatedMergeTree
PARTITION BY toDate(ReleasedAt)
ORDER BY (Tenant, Id)
TTL toDateTime(ReleasedAt) + toIntervalSecond(2592000)
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (1, '0001_spans');

-- 0002_traces

-- A row for each trace. A release adds a part of it, and parts are put together by merges, or by who reads them: all columns are sums,
-- smallest or largest values or sets, so that it does not matter in which order they come, nor in which insert.
--
-- A search reads some rows here and there, and most of their columns: small granules and blocks halve what that costs, for 0.6 bytes a span, and
-- with LZ4 it takes a quarter less again, for 0.9.
CREATE TABLE IF NOT EXISTS `tracewright`.`traces` ON CLUSTER `main` (
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
    Bottleneck SimpleAggregateFunction(max, Tuple(Float64, String, String, String)) CODEC(LZ4HC(3))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Quarter)
ORDER BY (Tenant, Quarter, Id)
TTL toDateTime(Quarter) + toIntervalSecond(2592000)
SETTINGS index_granularity = 256, min_compress_block_size = 2048, ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

-- Each release as it is inserted, for the tables of traces: nothing is kept here.
CREATE TABLE IF NOT EXISTS `tracewright`.`trace_releases` ON CLUSTER `main` (
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

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`trace_releases_view` ON CLUSTER `main` TO `tracewright`.`trace_releases` AS
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
    FROM `tracewright`.`otel_traces` AS t
    GROUP BY Tenant, ReleasedAt, Id
);

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`traces_view` ON CLUSTER `main` TO `tracewright`.`traces` AS
SELECT * FROM `tracewright`.`trace_releases`;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`trace_times_view` ON CLUSTER `main` TO `tracewright`.`trace_times` AS
SELECT Tenant, Id, FirstReleasedAt AS ReleasedAt FROM `tracewright`.`trace_releases`;

-- The times of the traces that were released in a quarter of an hour: where a search looks. Those whose clock is far off, Apart, stand by
-- themselves, so that one sender does not have every window look at every quarter.
CREATE TABLE IF NOT EXISTS `tracewright`.`trace_quarters` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Quarter DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Apart UInt8 CODEC(ZSTD(1)), -- 1 where traces started more than an hour before their release, 2 more than a day, 3 behind it
    Earliest SimpleAggregateFunction(min, Int64) CODEC(Delta, ZSTD(1)), -- start, Unix nanoseconds
    Latest SimpleAggregateFunction(max, Int64) CODEC(Delta, ZSTD(1)),
    -- How long behind its release a trace started at most, nanoseconds: rarely above 0.
    Ahead SimpleAggregateFunction(max, Int64) CODEC(Delta, ZSTD(1)),
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Quarter)
ORDER BY (Tenant, Quarter, Apart)
TTL toDateTime(Quarter) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`trace_quarters_view` ON CLUSTER `main` TO `tracewright`.`trace_quarters` AS
WITH
    if(Start = 9223372036854775807, 0, Start) AS Given,
    toUnixTimestamp64Nano(FirstReleasedAt) AS Released
SELECT
    Tenant, Quarter, multiIf(Given > Released, 3, Released - Given > 86400000000000, 2, Released - Given > 3600000000000, 1, 0)::UInt8 AS Apart,
    min(Given) AS Earliest, max(Given) AS Latest, max(least(Given - Released, 3600000000000)) AS Ahead, sum(t.Spans) AS Spans
FROM `tracewright`.`trace_releases` AS t
GROUP BY Tenant, Quarter, Apart;

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (2, '0002_traces');

-- 0003_rollups

-- Rollups: the sums from which questions over many traces are answered, by tenant, minute of the release and environment. A view sees
-- the spans of one insert, which is one call, so that what concerns a release or a call is worked out here. What a server does with the
-- series beyond the limit of a minute is for who reads: First tells which series came first.
--
-- An insert is mostly the planning of its views and the writing of their parts: views and tables are few and plain. rollup_spans and
-- rollup_odd_spans keep nothing. They hand to several views what is looked up once, and views of what is rare do nothing where there is none.
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_spans` ON CLUSTER `main` (
    Tenant LowCardinality(String),
    Minute DateTime('UTC'),
    Id FixedString(16),
    SpanId String,
    ParentSpanId String,
    Position UInt64, -- in the call
    Started Int64, -- Unix nanoseconds
    Environment LowCardinality(String),
    Service LowCardinality(String),
    ServiceVersion LowCardinality(String),
    Operation LowCardinality(String),
    Kind LowCardinality(String), -- as the API spells it
    Failed Bool,
    Duration UInt64,
    EntryService LowCardinality(String),
    EntryOperation LowCardinality(String),
    ParentService LowCardinality(String),
    ParentOperation LowCardinality(String),
    Peer LowCardinality(String),
    PeerKind LowCardinality(String),
    Protocol LowCardinality(String),
    SelfTime UInt64,
    PathTime UInt64,
    Excess UInt64, -- what the weight is above 1, in 1/1024
    Violations Array(String),
    Conflicting Bool, -- not to be counted
    Orphan Bool,
    Origin Bool, -- a failure began here
    Fingerprint LowCardinality(String),
    Repairing Bool, -- says what earlier releases could not
    Summary Bool, -- speaks for its release
    Version UInt32, -- of the release, 0 but on one of its spans
    Part UInt32,
    Outcome LowCardinality(String),
    SpanKeys Array(LowCardinality(String)),
    SpanValues Array(LowCardinality(String)),
    ResourceKeys Array(LowCardinality(String)),
    ResourceValues Array(LowCardinality(String))
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_spans_view` ON CLUSTER `main` TO `tracewright`.`rollup_spans` AS
WITH
    -- A look-up by place costs a quarter of one in a Map.
    mapKeys(SpanAttributes) AS SpanKeys, mapValues(SpanAttributes) AS SpanValues,
    mapKeys(ResourceAttributes) AS ResourceKeys, mapValues(ResourceAttributes) AS ResourceValues,
    toFloat64OrZero(SpanValues[indexOf(SpanKeys, 'tracewright.weight')]) AS Weight,
    ResourceValues[indexOf(ResourceKeys, 'deployment.environment.name')] AS EnvironmentName,
    -- The first system that the span names: those often speak HTTP, or each other, underneath.
    indexOf(SpanKeys, 'db.system.name') AS Database, indexOf(SpanKeys, 'db.system') AS OldDatabase,
    indexOf(SpanKeys, 'messaging.system') AS Messaging,
    indexOf(SpanKeys, 'rpc.system.name') AS Rpc, indexOf(SpanKeys, 'rpc.system') AS OldRpc,
    multiIf(Database > 0, Database, OldDatabase > 0, OldDatabase, Messaging > 0, Messaging, Rpc > 0, Rpc, OldRpc) AS System,
    multiIf(System > 0, SpanValues[System], has(SpanKeys, 'http.request.method') OR has(SpanKeys, 'http.method'), 'http',
        'unknown') AS Protocol
SELECT
    Tenant, toStartOfMinute(ReleasedAt) AS Minute, Id, SpanId, ParentSpanId, rowNumberInBlock() AS Position, StartTime AS Started,
    if(EnvironmentName != '', EnvironmentName, ResourceValues[indexOf(ResourceKeys, 'deployment.environment')]) AS Environment,
    Service, ResourceValues[indexOf(ResourceKeys, 'service.version')] AS ServiceVersion, Operation,
    if(SpanKind IN ('Internal', 'Server', 'Client', 'Producer', 'Consumer'), lower(SpanKind), 'unspecified') AS Kind,
    Failed, toUInt64(SpanDuration) AS Duration, EntryService, EntryOperation,
    SpanValues[indexOf(SpanKeys, 'tracewright.parent.service')] AS ParentService,
    SpanValues[indexOf(SpanKeys, 'tracewright.parent.operation')] AS ParentOperation,
    SpanValues[indexOf(SpanKeys, 'tracewright.peer.service')] AS Peer,
    SpanValues[indexOf(SpanKeys, 'tracewright.peer.kind')] AS PeerKind,
    Protocol,
    toUInt64OrZero(SpanValues[indexOf(SpanKeys, 'tracewright.self_time')]) AS SelfTime,
    toUInt64OrZero(SpanValues[indexOf(SpanKeys, 'tracewright.critical_path_time')]) AS PathTime,
    if(Weight > 1, toUInt64(round((least(Weight, 1099511627776.) - 1) * 1024)), 0) AS Excess,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.violations')], 'Array(String)') AS Violations,
    has(Violations, 'conflicting_span_id') AS Conflicting,
    SpanValues[indexOf(SpanKeys, 'tracewright.orphan')] = 'true' AS Orphan,
    SpanValues[indexOf(SpanKeys, 'tracewright.error.origin')] = 'true' AS Origin,
    SpanValues[indexOf(SpanKeys, 'tracewright.error.fingerprint')] AS Fingerprint,
    has(SpanKeys, 'tracewright.repaired') OR has(SpanKeys, 'tracewright.child.service')
        OR has(SpanKeys, 'tracewright.retracted.peer.service') OR has(SpanKeys, 'tracewright.entry.outcome') AS Repairing,
    has(SpanKeys, 'tracewright.span_count') AS Summary,
    Version, Part, Outcome, SpanKeys, SpanValues, ResourceKeys, ResourceValues
FROM `tracewright`.`otel_traces`;

-- Spans that repair what earlier releases could not say, or that break a rule.
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_odd_spans` ON CLUSTER `main` AS `tracewright`.`rollup_spans` ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_odd_spans_view` ON CLUSTER `main` TO `tracewright`.`rollup_odd_spans` AS
SELECT * FROM `tracewright`.`rollup_spans` WHERE Repairing OR notEmpty(Violations);

-- Calls of an operation, and how far to trust what is counted of them.
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_operations` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Service LowCardinality(String) CODEC(ZSTD(1)),
    Operation LowCardinality(String) CODEC(ZSTD(1)),
    ServiceVersion LowCardinality(String) CODEC(ZSTD(1)),
    Kind LowCardinality(String) CODEC(ZSTD(1)),
    Calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Roots SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)), -- calls without a parent
    Excess SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)), -- of the weights above the calls, in 1/1024
    Partial SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)), -- calls in releases that are not whole traces
    Orphans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)), -- calls whose parent was released nowhere
    Repaired SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)), -- orphans whose parent is one of these calls
    SelfTime SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    PathTime SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Durations AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Service, Operation, ServiceVersion, Kind)
TTL toDateTime(Minute) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_operations_view` ON CLUSTER `main` TO `tracewright`.`rollup_operations` AS
SELECT
    Tenant, Minute, Environment, Service, Operation, ServiceVersion, Kind,
    count() AS Calls, countIf(Failed) AS Errors, countIf(ParentSpanId = '') AS Roots, sum(s.Excess) AS Excess,
    countIf((Tenant, Id) IN (
        SELECT Tenant, Id FROM `tracewright`.`rollup_spans`
        WHERE Version > 1 OR Version = 1 AND (Part > 0 OR Outcome IN ('part', 'interim', 'late')))) AS Partial,
    countIf(Orphan) AS Orphans, sumIf(toUInt64OrZero(SpanValues[indexOf(SpanKeys, 'tracewright.repaired')]), Repairing) AS Repaired,
    sum(s.SelfTime) AS SelfTime, sum(s.PathTime) AS PathTime, quantilesDDState(0.01, 0.5, 0.95, 0.99)(Duration) AS Durations,
    toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM `tracewright`.`rollup_spans` AS s
WHERE NOT Conflicting
GROUP BY Tenant, Minute, Environment, Service, Operation, ServiceVersion, Kind;

-- Calls from one operation to another, or to a virtual peer. What a late span takes back is counted beside: sums only grow.
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_edges` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Parent LowCardinality(String) CODEC(ZSTD(1)),
    ParentOperation LowCardinality(String) CODEC(ZSTD(1)),
    Child LowCardinality(String) CODEC(ZSTD(1)),
    ChildOperation LowCardinality(String) CODEC(ZSTD(1)),
    ChildKind LowCardinality(String) CODEC(ZSTD(1)),
    Protocol LowCardinality(String) CODEC(ZSTD(1)),
    Calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Retracted SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    RetractedErrors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Durations AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Parent, Child, ParentOperation, ChildOperation, ChildKind, Protocol)
TTL toDateTime(Minute) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

-- A span shows the call that it answers, and that of a virtual peer that it makes.
CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_edges_view` ON CLUSTER `main` TO `tracewright`.`rollup_edges` AS
WITH
    Peer != '' AND Kind IN ('client', 'producer') AS Calling,
    arrayJoin(if(Calling AND ParentService != '', [true, false], [ParentService != ''])) AS Answered
SELECT
    Tenant, Minute, Environment, if(Answered, ParentService, Service) AS Parent, if(Answered, s.ParentOperation, Operation) AS ParentOperation,
    if(Answered, Service, Peer) AS Child, if(Answered, Operation, '') AS ChildOperation,
    multiIf(Answered, 'service', PeerKind = '', 'external', PeerKind) AS ChildKind, Protocol,
    count() AS Calls, countIf(Failed) AS Errors, 0::UInt64 AS Retracted, 0::UInt64 AS RetractedErrors,
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(Duration) AS Durations, toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM `tracewright`.`rollup_spans` AS s
WHERE NOT Conflicting AND (Calling OR ParentService != '')
GROUP BY Tenant, Minute, Environment, Parent, ParentOperation, Child, ChildOperation, ChildKind, Protocol;

-- Late spans show calls of children that were released before, and take back calls of a virtual peer that they answer.
CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_edge_repairs_view` ON CLUSTER `main` TO `tracewright`.`rollup_edges` AS
WITH
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.service')], 'Array(String)') AS Services,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.operation')], 'Array(String)') AS Operations,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.environment')], 'Array(String)') AS Environments,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.protocol')], 'Array(String)') AS Protocols,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.duration')], 'Array(UInt64)') AS ChildDurations,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.calls')], 'Array(UInt64)') AS ChildCalls,
    JSONExtract(SpanValues[indexOf(SpanKeys, 'tracewright.child.error')], 'Array(Bool)') AS ChildErrors,
    SpanValues[indexOf(SpanKeys, 'tracewright.retracted.peer.service')] AS Taken,
    SpanValues[indexOf(SpanKeys, 'tracewright.retracted.peer.kind')] AS TakenKind,
    SpanValues[indexOf(SpanKeys, 'tracewright.retracted.protocol')] AS TakenProtocol
SELECT
    Tenant, Minute, Row.1 AS Environment, Row.2 AS Parent, Row.3 AS ParentOperation, Row.4 AS Child, Row.5 AS ChildOperation,
    Row.6 AS ChildKind, Row.7 AS Protocol, sum(Row.8) AS Calls, sum(Row.9) AS Errors, sum(Row.10) AS Retracted,
    sum(Row.11) AS RetractedErrors, quantilesDDArrayState(0.01, 0.5, 0.95, 0.99)(Row.12) AS Durations,
    toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM (
    SELECT Tenant, Minute, Position, arrayJoin(arrayConcat(
        arrayMap(i -> (
            Environments[i], toString(Service), toString(Operation), Services[i], Operations[i], 'service',
            if(Protocols[i] = '', 'unknown', Protocols[i]), greatest(ChildCalls[i], 1::UInt64),
            if(ChildErrors[i], greatest(ChildCalls[i], 1::UInt64), 0::UInt64), 0::UInt64, 0::UInt64, [ChildDurations[i]]), arrayEnumerate(Services)),
        if(Taken = '', [], [(
            SpanValues[indexOf(SpanKeys, 'tracewright.retracted.environment')], ParentService, ParentOperation, Taken, '',
            if(TakenKind = '', 'external', TakenKind), if(TakenProtocol = '', 'unknown', TakenProtocol), 0::UInt64, 0::UInt64, 1::UInt64,
            toUInt64(SpanValues[indexOf(SpanKeys, 'tracewright.retracted.error')] = 'true'), []::Array(UInt64))]))) AS Row
    FROM `tracewright`.`rollup_odd_spans`
    WHERE NOT Conflicting AND Repairing
)
GROUP BY Tenant, Minute, Environment, Parent, ParentOperation, Child, ChildOperation, ChildKind, Protocol;

-- What an operation does for the requests of one entry, and, in rows of their own (Failure), the failures that began there.
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_entry_operations` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Failure Bool CODEC(ZSTD(1)),
    EntryService LowCardinality(String) CODEC(ZSTD(1)),
    EntryOperation LowCardinality(String) CODEC(ZSTD(1)),
    Service LowCardinality(String) CODEC(ZSTD(1)),
    Operation LowCardinality(String) CODEC(ZSTD(1)),
    Fingerprint LowCardinality(String) CODEC(ZSTD(1)), -- of a failure
    Traces SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    SelfTime SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    PathTime SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Examples SimpleAggregateFunction(groupUniqArrayArray(5), Array(FixedString(16))) CODEC(ZSTD(1)), -- traces with the failure
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Failure, EntryService, EntryOperation, Service, Operation, Fingerprint)
TTL toDateTime(Minute) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_entry_operations_view` ON CLUSTER `main` TO `tracewright`.`rollup_entry_operations` AS
WITH
    arrayJoin(if(Origin, if(EntryService != '', [false, true], [true]), [false])) AS OfFailure
SELECT
    Tenant, Minute, Environment, OfFailure AS Failure, EntryService, EntryOperation, Service, Operation,
    if(OfFailure, s.Fingerprint, '') AS Fingerprint,
    uniqExact(Id) AS Traces, count() AS Calls, countIf(Failed) AS Errors, sum(s.SelfTime) AS SelfTime, sum(s.PathTime) AS PathTime,
    groupUniqArrayIf(5)(Id, OfFailure) AS Examples, toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM `tracewright`.`rollup_spans` AS s
WHERE NOT Conflicting AND (EntryService != '' OR Origin)
GROUP BY Tenant, Minute, Environment, Failure, EntryService, EntryOperation, Service, Operation, Fingerprint;

-- How the trace context comes across, beside what operations and edges say. A row is one of
--     Violation   spans of Child that break the rule, and that Parent called, or nobody where it is empty
--     Peer        calls that were answered by Child: the attributes by which they name their peer, as JSON
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_contexts` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Parent LowCardinality(String) CODEC(ZSTD(1)),
    Child LowCardinality(String) CODEC(ZSTD(1)),
    Violation LowCardinality(String) CODEC(ZSTD(1)),
    Peer String CODEC(ZSTD(1)),
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Parent, Child, Violation, Peer)
TTL toDateTime(Minute) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_violations_view` ON CLUSTER `main` TO `tracewright`.`rollup_contexts` AS
SELECT Tenant, Minute, Environment, ParentService AS Parent, Service AS Child, arrayJoin(Violations) AS Violation, '' AS Peer, count() AS Spans
FROM `tracewright`.`rollup_odd_spans`
WHERE notEmpty(Violations)
GROUP BY Tenant, Minute, Environment, Parent, Child, Violation;

-- Of each edge the first call is looked at, where its client span is in the same release. Of the attributes that may name the peer only
-- those are kept that do, and a URL's host only.
CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_peers_view` ON CLUSTER `main` TO `tracewright`.`rollup_contexts` AS
WITH
    ['service.peer.name', 'peer.service']::Array(LowCardinality(String)) AS Names,
    ['server.address', 'net.peer.name', 'http.host', 'peer.hostname']::Array(LowCardinality(String)) AS Hosts,
    ['url.full', 'http.url']::Array(LowCardinality(String)) AS Urls,
    multiIf(hasAny(SpanKeys, Names), Names, hasAny(SpanKeys, Hosts), arrayConcat(Hosts, Ports), hasAny(SpanKeys, Urls), Urls,
        arrayConcat(Ports, ['server.socket.domain', 'net.sock.peer.name', 'network.peer.address', 'server.socket.address', 'net.sock.peer.addr',
            'net.peer.ip']::Array(LowCardinality(String)))) AS Naming,
    ['server.port', 'net.peer.port']::Array(LowCardinality(String)) AS Ports
SELECT
    Tenant, Minute, answer.Environment AS Environment, '' AS Parent, answer.Service AS Child, '' AS Violation,
    -- The answer is in the condition so that this is worked out behind the join.
    if(answer.Service = '', '', toJSONString(mapFromArrays(
        arrayFilter(key -> has(Naming, key), SpanKeys),
        arrayMap((key, value) -> if(has(Urls, key), concat('http://', extract(value, '://(?:[^/?#]*@)?([^/?#]*)')), value),
            arrayFilter(key -> has(Naming, key), SpanKeys), arrayFilter((value, key) -> has(Naming, key), SpanValues, SpanKeys))))) AS Peer,
    count() AS Spans
FROM `tracewright`.`rollup_spans` AS client
INNER JOIN (
    SELECT Tenant, Id, ParentSpanId AS ClientSpanId, Environment, Service
    FROM `tracewright`.`rollup_spans`
    WHERE NOT Conflicting AND ParentService != ''
    ORDER BY Position
    LIMIT 1 BY Tenant, Environment, ParentService, ParentOperation, Service, Operation, Protocol
    LIMIT 64
) AS answer ON client.Tenant = answer.Tenant AND client.Id = answer.Id AND client.SpanId = answer.ClientSpanId
WHERE Kind = 'client' AND client.Peer = '' AND NOT Conflicting
    AND NOT (answer.Service = '' OR hasAny(SpanKeys, ['db.system.name', 'db.system', 'db.namespace', 'db.name', 'db.cassandra.keyspace',
        'db.hbase.namespace', 'db.instance', 'db.query.text', 'db.statement', 'messaging.system', 'messaging.destination.name',
        'messaging.destination', 'messaging.source.name', 'message_bus.destination']::Array(LowCardinality(String))))
GROUP BY Tenant, Minute, Environment, Child, Peer
HAVING Peer != '{}';

-- Traces by the operation with which their requests entered: by outcome, in rows without a Key, and by the values that services have in
-- them. How many were slow is worked out from their durations when it is asked.
CREATE TABLE IF NOT EXISTS `tracewright`.`rollup_entries` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Key LowCardinality(String) CODEC(ZSTD(1)),
    EntryService LowCardinality(String) CODEC(ZSTD(1)),
    EntryOperation LowCardinality(String) CODEC(ZSTD(1)),
    Service LowCardinality(String) CODEC(ZSTD(1)), -- that has the value
    Value LowCardinality(String) CODEC(ZSTD(1)), -- of the key, or the outcome
    Traces SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Retracted SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    RetractedErrors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    Durations AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Key, EntryService, EntryOperation, Service, Value)
TTL toDateTime(Minute) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

-- A trace counts with its first release. Its entry root is the earliest span without a parent, else the span that speaks for the release.
CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_entries_view` ON CLUSTER `main` TO `tracewright`.`rollup_entries` AS
WITH
    ['http.response.status_code', 'k8s.node.name', 'cloud.availability_zone', 'user.tier']::Array(LowCardinality(String)) AS EntryKeys,
    arrayJoin(arrayPushFront(
        arrayDistinct(arrayConcat(
            arrayMap(of -> (of.1, 'service.version'::LowCardinality(String), of.2), Versions),
            arrayFilter(of -> of.3 != '', arrayMap((key, value) -> (Root.2, key, value), EntryKeys, Root.5)))),
        (''::LowCardinality(String), ''::LowCardinality(String), Outcome))) AS Of
SELECT
    Tenant, Minute, Root.1 AS Environment, Of.2 AS Key, Root.2 AS EntryService, Root.3 AS EntryOperation, Of.1 AS Service, Of.3 AS Value,
    count() AS Traces, countIf(AnyFailed) AS Errors, 0::UInt64 AS Retracted, 0::UInt64 AS RetractedErrors,
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(Root.4) AS Durations, toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM (
    WITH NOT Conflicting AND EntryService != '' AND (ParentSpanId = '' OR Summary) AS Candidate
    SELECT
        Tenant, Minute, Id, min(s.Position) AS Position, max(NOT Conflicting AND Failed) AS AnyFailed,
        max(Version) AS LastVersion, max(Part) AS LastPart, anyIf(s.Outcome, Version != 0) AS Outcome,
        groupUniqArrayIf((Service, ServiceVersion), ServiceVersion != '') AS Versions,
        countIf(Candidate) AS Candidates,
        -- The values of EntryKeys: all attributes would be copied into each row that comes of the trace.
        argMinIf((Environment, EntryService, EntryOperation, Duration, [
            if(has(SpanKeys, 'http.response.status_code'), SpanValues[indexOf(SpanKeys, 'http.response.status_code')], ResourceValues[indexOf(ResourceKeys, 'http.response.status_code')]),
            if(has(SpanKeys, 'k8s.node.name'), SpanValues[indexOf(SpanKeys, 'k8s.node.name')], ResourceValues[indexOf(ResourceKeys, 'k8s.node.name')]),
            if(has(SpanKeys, 'cloud.availability_zone'), SpanValues[indexOf(SpanKeys, 'cloud.availability_zone')], ResourceValues[indexOf(ResourceKeys, 'cloud.availability_zone')]),
            if(has(SpanKeys, 'user.tier'), SpanValues[indexOf(SpanKeys, 'user.tier')], ResourceValues[indexOf(ResourceKeys, 'user.tier')])]), (ParentSpanId != '', Started, SpanId), Candidate) AS Root
    FROM `tracewright`.`rollup_spans` AS s
    GROUP BY Tenant, Minute, Id
)
WHERE LastVersion <= 1 AND LastPart = 0 AND Candidates > 0
GROUP BY Tenant, Minute, Environment, Key, EntryService, EntryOperation, Service, Value;

-- Late spans say that a trace failed, or that it entered elsewhere.
CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`rollup_entry_repairs_view` ON CLUSTER `main` TO `tracewright`.`rollup_entries` AS
WITH
    SpanValues[indexOf(SpanKeys, 'tracewright.entry.outcome')] AS Counted,
    SpanValues[indexOf(SpanKeys, 'tracewright.retracted.entry.service')] AS WasService,
    toUInt64(SpanValues[indexOf(SpanKeys, 'tracewright.entry.error')] = 'true') AS NowFailed,
    toUInt64(SpanValues[indexOf(SpanKeys, 'tracewright.retracted.entry.error')] = 'true') AS WasFailed
SELECT
    Tenant, Minute, Row.1 AS Environment, '' AS Key, Row.2 AS EntryService, Row.3 AS EntryOperation, '' AS Service, CountedAs AS Value,
    sum(Row.4) AS Traces, sum(Row.5) AS Errors, sum(Row.6) AS Retracted, sum(Row.7) AS RetractedErrors,
    quantilesDDArrayState(0.01, 0.5, 0.95, 0.99)(Row.8) AS Durations, toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM (
    SELECT Tenant, Minute, Position, Counted AS CountedAs, arrayJoin(arrayConcat(
        [(SpanValues[indexOf(SpanKeys, 'tracewright.entry.environment')], s.EntryService, s.EntryOperation,
            toUInt64(WasService != ''), NowFailed + if(WasService != '', WasFailed, 0), 0::UInt64, 0::UInt64,
            if(WasService != '', [Duration], []))],
        if(WasService = '', [], [(SpanValues[indexOf(SpanKeys, 'tracewright.retracted.entry.environment')], WasService,
            SpanValues[indexOf(SpanKeys, 'tracewright.retracted.entry.operation')],
            0::UInt64, 0::UInt64, 1::UInt64, WasFailed, []::Array(UInt64))]))) AS Row
    FROM `tracewright`.`rollup_odd_spans` AS s
    WHERE NOT Conflicting AND Repairing AND Counted != ''
)
GROUP BY Tenant, Minute, Environment, EntryService, EntryOperation, Value;

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (3, '0003_rollups');

-- 0004_catalogue

-- Which attributes there are, by the day of the release: a row for each key, with an empty Value, and one for each value that is met often.
-- Of a large insert some 500 spans are looked at, each for as many as it stands for. Of a key with more than 10 values in an insert those
-- are not listed that one span has: ids would fill the table, and nobody wants them suggested.
CREATE TABLE IF NOT EXISTS `tracewright`.`attribute_catalogue` ON CLUSTER `main` (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Day Date CODEC(Delta, ZSTD(1)),
    OfValue Bool CODEC(ZSTD(1)),
    Scope UInt8 CODEC(ZSTD(1)), -- 1 of the span, 2 of its resource
    Key LowCardinality(String) CODEC(ZSTD(1)),
    Value String CODEC(ZSTD(1)),
    Types SimpleAggregateFunction(groupBitOr, UInt8) CODEC(ZSTD(1)), -- a bit for each type of OTLP, by its number, as the texts look
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY Day
ORDER BY (Tenant, Day, OfValue, Scope, Key, Value)
TTL toDateTime(Day) + toIntervalSecond(2592000)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

CREATE MATERIALIZED VIEW IF NOT EXISTS `tracewright`.`attribute_catalogue_view` ON CLUSTER `main` TO `tracewright`.`attribute_catalogue` AS
WITH (SELECT intDiv(max(Position), 512) + 1 FROM `tracewright`.`rollup_spans`) AS Every
SELECT Tenant, Day, Row.1 AS OfValue, Scope, Key, Row.2 AS Value, AllTypes AS Types, Row.3 * Every AS Spans
FROM (
    WITH groupArrayIf((Value, v.Met), Listed) AS Values
    SELECT
        Tenant, Day, Scope, Key, groupBitOr(Type) AS AllTypes, sum(v.Met) AS KeyMet,
        arrayJoin(arrayPushFront(
            arraySlice(arrayReverseSort(of -> of.3, arrayMap(of -> (true, of.1, of.2),
                arrayFilter(of -> of.2 > 1 OR length(Values) <= 10, Values))), 1, 100),
            (false, '', KeyMet))) AS Row
    FROM (
        SELECT
            Tenant, Day, Attribute.1 AS Scope, Attribute.2 AS Key, Attribute.3 AS Value, count() AS Met,
            multiIf(
                match(Value, '^(0|-?[1-9][0-9]{0,18})$'), 4,
                match(Value, '^-?[0-9]+(\\.[0-9]+)?(e[+-]?[0-9]+)?$'), 8,
                Value IN ('true', 'false'), 16,
                startsWith(Value, '{') AND isValidJSON(Value), 32,
                startsWith(Value, '[') AND isValidJSON(Value), 64,
                2)::UInt8 AS Type,
            Type IN (2, 4, 8, 16) AND length(Value) <= 256 AND isValidUTF8(Value) AS Listed
        FROM (
            SELECT
                Tenant, toDate(Minute) AS Day,
                arrayJoin(arrayConcat(
                    arrayMap((key, value) -> (1::UInt8, key, value), SpanKeys, SpanValues),
                    arrayMap((key, value) -> (2::UInt8, key, value), ResourceKeys, ResourceValues))) AS Attribute
            FROM `tracewright`.`rollup_spans`
            -- By a hash: what comes again and again in a call would meet each of them, or none.
            WHERE cityHash64(Position) % Every = 0
        )
        WHERE Key != '' AND NOT startsWith(Key, 'tracewright.') AND length(Key) <= 256 AND isValidUTF8(Key)
        GROUP BY Tenant, Day, Scope, Key, Value
    ) AS v
    GROUP BY Tenant, Day, Scope, Key
    ORDER BY KeyMet DESC
    LIMIT 10000
);

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (4, '0004_catalogue');

-- 0005_sources

-- Sources of traces that were added at run time, as a log of changes: the last change of a name says what stands under it. Changes of a name are
-- numbered, and a change is inserted under a token made of name and number: of two that make the same change at the same
-- time, the table drops the second as a repetition of the first. The last 16 changes of a name are kept, so that whoever made one finds out
-- whether it is his.
CREATE TABLE IF NOT EXISTS `tracewright`.`trace_sources` ON CLUSTER `main` (
    Name String,
    Change Int64,
    Writer String, -- of the change, a random name
    Version Int64, -- 0 where nothing stands under the name any more
    Value String,
    ChangedAt DateTime('UTC') DEFAULT now()
) ENGINE = ReplicatedReplacingMergeTree(Change)
ORDER BY (Name, Change % 16)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 86400;

-- What each instance says of the sources that it runs; the last counts.
CREATE TABLE IF NOT EXISTS `tracewright`.`trace_source_reports` ON CLUSTER `main` (
    Instance String,
    At DateTime64(9, 'UTC'),
    Value String
) ENGINE = ReplicatedReplacingMergeTree(At)
ORDER BY Instance
TTL toDateTime(At) + toIntervalHour(1);

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (5, '0005_sources');

-- 0006_operations

-- What newer tables have from the start: service and operation together, and the indexes of them. Parts from before are searched without the indexes
-- until they are merged.
ALTER TABLE `tracewright`.`otel_traces` ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS OperationNames Array(UInt64) MATERIALIZED arrayDistinct([cityHash64(Service, Operation), cityHash64(if(ServiceName = '', 'unknown_service', ServiceName), Operation), cityHash64(Service, SpanName), cityHash64(if(ServiceName = '', 'unknown_service', ServiceName), SpanName)]) CODEC(ZSTD(1)),
    ADD INDEX IF NOT EXISTS operation_attributes arrayFlatten(arrayMap(o -> arrayMap(p -> bitXor(p, o), AttributePairs), OperationNames)) TYPE bloom_filter(0.025) GRANULARITY 4,
    ADD INDEX IF NOT EXISTS operation_names OperationNames TYPE bloom_filter(0.025) GRANULARITY 8;

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (6, '0006_operations');

-- 0007_rows

-- What newer tables have from the start: the columns of rows that searches read, in a codec that is faster to read. Parts from before keep theirs
-- until they are merged.
ALTER TABLE `tracewright`.`traces` ON CLUSTER `main`
    MODIFY COLUMN FirstReleasedAt CODEC(Delta, LZ4HC(3)),
    MODIFY COLUMN Releases CODEC(LZ4HC(3)),
    MODIFY COLUMN Unexplained CODEC(LZ4HC(3)),
    MODIFY COLUMN Version CODEC(LZ4HC(3)),
    MODIFY COLUMN Outcome CODEC(LZ4HC(3)),
    MODIFY COLUMN Entry CODEC(LZ4HC(3)),
    MODIFY COLUMN Start CODEC(Delta, LZ4HC(3)),
    MODIFY COLUMN End CODEC(Delta, LZ4HC(3)),
    MODIFY COLUMN LongestSpan CODEC(LZ4HC(3)),
    MODIFY COLUMN Spans CODEC(LZ4HC(3)),
    MODIFY COLUMN Errors CODEC(LZ4HC(3)),
    MODIFY COLUMN MissingParents CODEC(LZ4HC(3)),
    MODIFY COLUMN Kinds CODEC(LZ4HC(3)),
    MODIFY COLUMN Failed CODEC(LZ4HC(3)),
    MODIFY COLUMN Fine CODEC(LZ4HC(3)),
    MODIFY COLUMN Services CODEC(LZ4HC(3)),
    MODIFY COLUMN Senders CODEC(LZ4HC(3)),
    MODIFY COLUMN Bottleneck CODEC(LZ4HC(3));

INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (7, '0007_rows');

-- 0008_deletions

-- What newer tables have from the start: repetitions of inserts know of traces that were deleted. See 0001.


INSERT INTO `tracewright`.`tracewright_migrations` (Number, Name) VALUES (8, '0008_deletions');

-- For how long rows are kept, where the tables were made with another retention.
ALTER TABLE `tracewright`.`otel_traces` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`otel_traces` ON CLUSTER `main` MODIFY TTL toDateTime(ReleasedAt) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`trace_times` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`trace_times` ON CLUSTER `main` MODIFY TTL toDateTime(ReleasedAt) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`traces` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`traces` ON CLUSTER `main` MODIFY TTL toDateTime(Quarter) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`trace_quarters` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`trace_quarters` ON CLUSTER `main` MODIFY TTL toDateTime(Quarter) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`rollup_operations` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`rollup_operations` ON CLUSTER `main` MODIFY TTL toDateTime(Minute) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`rollup_edges` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`rollup_edges` ON CLUSTER `main` MODIFY TTL toDateTime(Minute) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`rollup_entry_operations` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`rollup_entry_operations` ON CLUSTER `main` MODIFY TTL toDateTime(Minute) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`rollup_contexts` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`rollup_contexts` ON CLUSTER `main` MODIFY TTL toDateTime(Minute) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`rollup_entries` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`rollup_entries` ON CLUSTER `main` MODIFY TTL toDateTime(Minute) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
ALTER TABLE `tracewright`.`attribute_catalogue` ON CLUSTER `main` MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE `tracewright`.`attribute_catalogue` ON CLUSTER `main` MODIFY TTL toDateTime(Day) + toIntervalSecond(2592000) SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1;
