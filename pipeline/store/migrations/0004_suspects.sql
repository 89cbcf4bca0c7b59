-- Where the near-duplicate rule is on: the row (its source offset in the same partition) whose listen this one reports again,
-- from another service. Such a row counts, and is marked (accepted), or doesn't count (suspect); see LISTENING_NEAR_DUPLICATES.
ALTER TABLE plays ADD COLUMN IF NOT EXISTS suspect_of Nullable(UInt64);
