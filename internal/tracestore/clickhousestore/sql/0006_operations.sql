-- What newer tables have from the start: service and operation together, and the indexes of them. Parts from before are searched without the indexes
-- until they are merged.
ALTER TABLE {{table "otel_traces"}} {{on_cluster}}
    ADD COLUMN IF NOT EXISTS OperationNames Array(UInt64) MATERIALIZED {{operation_names}} CODEC(ZSTD(1)),
    ADD INDEX IF NOT EXISTS operation_attributes {{operation_pairs}} TYPE bloom_filter(0.025) GRANULARITY 4,
    ADD INDEX IF NOT EXISTS operation_names OperationNames TYPE bloom_filter(0.025) GRANULARITY 8;
