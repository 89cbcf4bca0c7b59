"""Bytes to columns and back: wire framing, containers, headers."""
