"""Merging counts and ranking artists (pure)."""
