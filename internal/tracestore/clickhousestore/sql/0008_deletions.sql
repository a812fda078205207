-- What newer tables have from the start: repetitions of inserts know of traces that were deleted. See 0001.
{{if repeats}}
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
{{range list "otel_traces_repeated_rows" "otel_traces_missing_rows" "traces_view_again" "trace_times_view_again"}}
ALTER TABLE {{table .}} {{on_cluster}} MODIFY QUERY
{{query .}};
{{end}}
{{end}}
