-- Ranked lists as published; k is the length at which a list was cut.
CREATE TABLE IF NOT EXISTS top_artists
(
    window_end DateTime64(3, 'UTC'),
    shard UInt16,
    rank UInt32,
    artist_id Int64,
    plays UInt64,
    final Bool,
    version UInt64,
    k UInt32
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (window_end, shard, rank);

-- Shards hold disjoint artists, so merging the newest list of each and ranking again is exact for the first k.
-- A list that became shorter leaves rows of its older version behind, which the version filters out. final: every shard
-- that has a list of the window says so. artist_id is unique in a window, hence row_number() ranks without ties.
CREATE VIEW IF NOT EXISTS top_artists_merged AS
SELECT window_end, rank, artist_id, plays, final
FROM
(
    SELECT
        window_end,
        toUInt32(row_number() OVER (PARTITION BY window_end ORDER BY plays DESC, artist_id ASC)) AS rank,
        artist_id,
        plays,
        min(final) OVER (PARTITION BY window_end) AS final,
        max(k) OVER (PARTITION BY window_end) AS longest
    FROM
    (
        SELECT window_end, shard, artist_id, plays, final, k, version, max(version) OVER (PARTITION BY window_end, shard) AS newest
        FROM top_artists FINAL
    )
    WHERE version = newest
)
WHERE rank <= longest;
