"""The dedup inspector: what deduplication did to a run, by kind of copy, and what other settings would have done."""
