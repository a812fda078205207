-- Sources of traces that were added at run time, as a log of changes: the last change of a name says what stands under it. Changes of a name are
-- numbered, and a change is inserted under a token made of name and number: of two that make the same change at the same
-- time, the table drops the second as a repetition of the first. The last 16 changes of a name are kept, so that whoever made one finds out
-- whether it is his.
CREATE TABLE IF NOT EXISTS {{table "trace_sources"}} {{on_cluster}} (
    Name String,
    Change Int64,
    Writer String, -- of the change, a random name
    Version Int64, -- 0 where nothing stands under the name any more
    Value String,
    ChangedAt DateTime('UTC') DEFAULT now()
) ENGINE = {{engine "ReplacingMergeTree"}}(Change)
ORDER BY (Name, Change % 16)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, {{deduplication}};

-- What each instance says of the sources that it runs; the last counts.
CREATE TABLE IF NOT EXISTS {{table "trace_source_reports"}} {{on_cluster}} (
    Instance String,
    At DateTime64(9, 'UTC'),
    Value String
) ENGINE = {{engine "ReplacingMergeTree"}}(At)
ORDER BY Instance
TTL toDateTime(At) + toIntervalHour(1);
