-- Rollups: the sums from which questions over many traces are answered, by tenant, minute of the release and environment. A view sees
-- the spans of one insert, which is one call, so that what concerns a release or a call is worked out here. What a server does with the
-- series beyond the limit of a minute is for who reads: First tells which series came first.
--
-- An insert is mostly the planning of its views and the writing of their parts: views and tables are few and plain. rollup_spans and
-- rollup_odd_spans keep nothing. They hand to several views what is looked up once, and views of what is rare do nothing where there is none.
CREATE TABLE IF NOT EXISTS {{table "rollup_spans"}} {{on_cluster}} (
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

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_spans_view"}} {{on_cluster}} TO {{table "rollup_spans"}} AS
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
FROM {{table "otel_traces"}};

-- Spans that repair what earlier releases could not say, or that break a rule.
CREATE TABLE IF NOT EXISTS {{table "rollup_odd_spans"}} {{on_cluster}} AS {{table "rollup_spans"}} ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_odd_spans_view"}} {{on_cluster}} TO {{table "rollup_odd_spans"}} AS
SELECT * FROM {{table "rollup_spans"}} WHERE Repairing OR notEmpty(Violations);

-- Calls of an operation, and how far to trust what is counted of them.
CREATE TABLE IF NOT EXISTS {{table "rollup_operations"}} {{on_cluster}} (
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
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Service, Operation, ServiceVersion, Kind)
{{ttl "rollup_operations" "Minute"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_operations_view"}} {{on_cluster}} TO {{table "rollup_operations"}} AS
SELECT
    Tenant, Minute, Environment, Service, Operation, ServiceVersion, Kind,
    count() AS Calls, countIf(Failed) AS Errors, countIf(ParentSpanId = '') AS Roots, sum(s.Excess) AS Excess,
    countIf((Tenant, Id) IN (
        SELECT Tenant, Id FROM {{table "rollup_spans"}}
        WHERE Version > 1 OR Version = 1 AND (Part > 0 OR Outcome IN ('part', 'interim', 'late')))) AS Partial,
    countIf(Orphan) AS Orphans, sumIf(toUInt64OrZero(SpanValues[indexOf(SpanKeys, 'tracewright.repaired')]), Repairing) AS Repaired,
    sum(s.SelfTime) AS SelfTime, sum(s.PathTime) AS PathTime, quantilesDDState(0.01, 0.5, 0.95, 0.99)(Duration) AS Durations,
    toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM {{table "rollup_spans"}} AS s
WHERE NOT Conflicting
GROUP BY Tenant, Minute, Environment, Service, Operation, ServiceVersion, Kind;

-- Calls from one operation to another, or to a virtual peer. What a late span takes back is counted beside: sums only grow.
CREATE TABLE IF NOT EXISTS {{table "rollup_edges"}} {{on_cluster}} (
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
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Parent, Child, ParentOperation, ChildOperation, ChildKind, Protocol)
{{ttl "rollup_edges" "Minute"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

-- A span shows the call that it answers, and that of a virtual peer that it makes.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_edges_view"}} {{on_cluster}} TO {{table "rollup_edges"}} AS
WITH
    Peer != '' AND Kind IN ('client', 'producer') AS Calling,
    arrayJoin(if(Calling AND ParentService != '', [true, false], [ParentService != ''])) AS Answered
SELECT
    Tenant, Minute, Environment, if(Answered, ParentService, Service) AS Parent, if(Answered, s.ParentOperation, Operation) AS ParentOperation,
    if(Answered, Service, Peer) AS Child, if(Answered, Operation, '') AS ChildOperation,
    multiIf(Answered, 'service', PeerKind = '', 'external', PeerKind) AS ChildKind, Protocol,
    count() AS Calls, countIf(Failed) AS Errors, 0::UInt64 AS Retracted, 0::UInt64 AS RetractedErrors,
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(Duration) AS Durations, toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM {{table "rollup_spans"}} AS s
WHERE NOT Conflicting AND (Calling OR ParentService != '')
GROUP BY Tenant, Minute, Environment, Parent, ParentOperation, Child, ChildOperation, ChildKind, Protocol;

-- Late spans show calls of children that were released before, and take back calls of a virtual peer that they answer.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_edge_repairs_view"}} {{on_cluster}} TO {{table "rollup_edges"}} AS
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
    FROM {{table "rollup_odd_spans"}}
    WHERE NOT Conflicting AND Repairing
)
GROUP BY Tenant, Minute, Environment, Parent, ParentOperation, Child, ChildOperation, ChildKind, Protocol;

-- What an operation does for the requests of one entry, and, in rows of their own (Failure), the failures that began there.
CREATE TABLE IF NOT EXISTS {{table "rollup_entry_operations"}} {{on_cluster}} (
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
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Failure, EntryService, EntryOperation, Service, Operation, Fingerprint)
{{ttl "rollup_entry_operations" "Minute"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_entry_operations_view"}} {{on_cluster}} TO {{table "rollup_entry_operations"}} AS
WITH
    arrayJoin(if(Origin, if(EntryService != '', [false, true], [true]), [false])) AS OfFailure
SELECT
    Tenant, Minute, Environment, OfFailure AS Failure, EntryService, EntryOperation, Service, Operation,
    if(OfFailure, s.Fingerprint, '') AS Fingerprint,
    uniqExact(Id) AS Traces, count() AS Calls, countIf(Failed) AS Errors, sum(s.SelfTime) AS SelfTime, sum(s.PathTime) AS PathTime,
    groupUniqArrayIf(5)(Id, OfFailure) AS Examples, toUnixTimestamp64Nano(now64(9)) + min(Position) AS First
FROM {{table "rollup_spans"}} AS s
WHERE NOT Conflicting AND (EntryService != '' OR Origin)
GROUP BY Tenant, Minute, Environment, Failure, EntryService, EntryOperation, Service, Operation, Fingerprint;

-- How the trace context comes across, beside what operations and edges say. A row is one of
--     Violation   spans of Child that break the rule, and that Parent called, or nobody where it is empty
--     Peer        calls that were answered by Child: the attributes by which they name their peer, as JSON
CREATE TABLE IF NOT EXISTS {{table "rollup_contexts"}} {{on_cluster}} (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Parent LowCardinality(String) CODEC(ZSTD(1)),
    Child LowCardinality(String) CODEC(ZSTD(1)),
    Violation LowCardinality(String) CODEC(ZSTD(1)),
    Peer String CODEC(ZSTD(1)),
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Parent, Child, Violation, Peer)
{{ttl "rollup_contexts" "Minute"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_violations_view"}} {{on_cluster}} TO {{table "rollup_contexts"}} AS
SELECT Tenant, Minute, Environment, ParentService AS Parent, Service AS Child, arrayJoin(Violations) AS Violation, '' AS Peer, count() AS Spans
FROM {{table "rollup_odd_spans"}}
WHERE notEmpty(Violations)
GROUP BY Tenant, Minute, Environment, Parent, Child, Violation;

-- Of each edge the first call is looked at, where its client span is in the same release. Of the attributes that may name the peer only
-- those are kept that do, and a URL's host only.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_peers_view"}} {{on_cluster}} TO {{table "rollup_contexts"}} AS
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
FROM {{table "rollup_spans"}} AS client
INNER JOIN (
    SELECT Tenant, Id, ParentSpanId AS ClientSpanId, Environment, Service
    FROM {{table "rollup_spans"}}
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
CREATE TABLE IF NOT EXISTS {{table "rollup_entries"}} {{on_cluster}} (
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
    First SimpleAggregateFunction(min, UInt64) CODEC(Delta, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY toDate(Minute)
ORDER BY (Tenant, Minute, Environment, Key, EntryService, EntryOperation, Service, Value)
{{ttl "rollup_entries" "Minute"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

-- A trace counts with its first release. Its entry root is the earliest span without a parent, else the span that speaks for the release.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_entries_view"}} {{on_cluster}} TO {{table "rollup_entries"}} AS
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
            {{entry "http.response.status_code"}},
            {{entry "k8s.node.name"}},
            {{entry "cloud.availability_zone"}},
            {{entry "user.tier"}}]), (ParentSpanId != '', Started, SpanId), Candidate) AS Root
    FROM {{table "rollup_spans"}} AS s
    GROUP BY Tenant, Minute, Id
)
WHERE LastVersion <= 1 AND LastPart = 0 AND Candidates > 0
GROUP BY Tenant, Minute, Environment, Key, EntryService, EntryOperation, Service, Value;

-- Late spans say that a trace failed, or that it entered elsewhere.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "rollup_entry_repairs_view"}} {{on_cluster}} TO {{table "rollup_entries"}} AS
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
    FROM {{table "rollup_odd_spans"}} AS s
    WHERE NOT Conflicting AND Repairing AND Counted != ''
)
GROUP BY Tenant, Minute, Environment, EntryService, EntryOperation, Value;
