"""The fault matrix: every drill, by number, and the negative controls."""
