"""Schemas by id: the folder that is the embedded registry, or a Confluent-compatible one by URL."""
