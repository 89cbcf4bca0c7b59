"""The real engine, as the store's own tests have it."""

from tests.unit.store.conftest import pool, put, served, settings

__all__ = ["pool", "put", "served", "settings"]
