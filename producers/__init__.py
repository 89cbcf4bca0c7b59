"""Simulated listeners: who listens to what and when, what reaches the log, and a ledger of the truth."""
