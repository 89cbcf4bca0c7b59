"""Playback events: classify, count, rank, store."""
