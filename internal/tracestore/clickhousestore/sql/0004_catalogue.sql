-- Which attributes there are, by the day of the release: a row for each key, with an empty Value, and one for each value that is met often.
-- Of a large insert some 500 spans are looked at, each for as many as it stands for. Of a key with more than 10 values in an insert those
-- are not listed that one span has: ids would fill the table, and nobody wants them suggested.
CREATE TABLE IF NOT EXISTS {{table "attribute_catalogue"}} {{on_cluster}} (
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    Day Date CODEC(Delta, ZSTD(1)),
    OfValue Bool CODEC(ZSTD(1)),
    Scope UInt8 CODEC(ZSTD(1)), -- 1 of the span, 2 of its resource
    Key LowCardinality(String) CODEC(ZSTD(1)),
    Value String CODEC(ZSTD(1)),
    Types SimpleAggregateFunction(groupBitOr, UInt8) CODEC(ZSTD(1)), -- a bit for each type of OTLP, by its number, as the texts look
    Spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)){{inserts}}
) ENGINE = {{engine "AggregatingMergeTree"}}
PARTITION BY Day
ORDER BY (Tenant, Day, OfValue, Scope, Key, Value)
{{ttl "attribute_catalogue" "Day"}}
SETTINGS ttl_only_drop_parts = 1{{replicated_deduplication}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{table "attribute_catalogue_view"}} {{on_cluster}} TO {{table "attribute_catalogue"}} AS
WITH (SELECT intDiv(max(Position), 512) + 1 FROM {{table "rollup_spans"}}) AS Every
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
            FROM {{table "rollup_spans"}}
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
