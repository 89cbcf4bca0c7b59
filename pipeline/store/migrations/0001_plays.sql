-- What the `plays` topic says, row by row. The identity of a row is its place in the source log, never its content,
-- so a record that is sunk again replaces itself. No PARTITION BY: rows of one identity must share a partition to merge.
CREATE TABLE IF NOT EXISTS plays
(
    source_partition UInt16,
    source_offset UInt64,
    event_id UUID,
    user_id Int64,
    artist_id Int64,
    track_id Int64,
    event_time DateTime64(3, 'UTC'),
    played_at DateTime64(3, 'UTC'),
    sent_at DateTime64(3, 'UTC'),
    appended_at DateTime64(3, 'UTC'),
    ms_played UInt32,
    platform LowCardinality(String),
    service String,
    country LowCardinality(String),
    outcome LowCardinality(String),
    INDEX event_id_filter event_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
ORDER BY (source_partition, source_offset);

CREATE TABLE IF NOT EXISTS duplicates
(
    source_partition UInt16,
    source_offset UInt64,
    event_id UUID,
    first_offset UInt64,
    user_id Int64,
    artist_id Int64,
    track_id Int64,
    event_time DateTime64(3, 'UTC'),
    played_at DateTime64(3, 'UTC'),
    sent_at DateTime64(3, 'UTC'),
    appended_at DateTime64(3, 'UTC'),
    platform LowCardinality(String),
    service String,
    country LowCardinality(String),
    INDEX event_id_filter event_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
ORDER BY (source_partition, source_offset);

-- One row a record of `plays`: the range of source offsets it covers and what became of them.
CREATE TABLE IF NOT EXISTS batches
(
    source_partition UInt16,
    first_offset UInt64,
    last_offset UInt64,
    records UInt64,
    ticks UInt64,
    absent UInt64,
    accepted UInt64,
    duplicates UInt64,
    late UInt64,
    skipped UInt64,
    suspect UInt64,
    invalid UInt64,
    watermark DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (source_partition, first_offset);
