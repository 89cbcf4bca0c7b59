"""The ingest gateway: HTTP in, acknowledged records out, with keys, limits and Idempotency-Keys."""
