-- Absolute counts: of several versions of one count the greatest stands.
CREATE TABLE IF NOT EXISTS artist_counts
(
    pane DateTime64(3, 'UTC'),
    artist_id Int64,
    source_partition UInt16,
    plays UInt64,
    version Int64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (pane, artist_id, source_partition);

-- How far the counts are complete: of each source partition, in each shard, the last offset counted and the watermark
-- there. Written after the counts it speaks of, so a window below all watermarks here is whole in artist_counts.
CREATE TABLE IF NOT EXISTS count_positions
(
    source_partition UInt16,
    shard UInt16,
    counted Int64,
    watermark DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(counted)
ORDER BY (source_partition, shard);

CREATE TABLE IF NOT EXISTS artists
(
    artist_id Int64,
    name String
)
ENGINE = ReplacingMergeTree
ORDER BY artist_id;
