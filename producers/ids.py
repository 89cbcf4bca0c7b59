"""Event ids: UUID version 7 (RFC 9562)."""

import numpy as np

from producers.columns import Array


def uuid7(instants: Array, rng: np.random.Generator) -> Array:
    """uint8[n, 16]: of each instant (epoch ms) and random bits."""
    ids = np.frombuffer(rng.bytes(16 * len(instants)), np.uint8).reshape(-1, 16).copy()
    ids[:, :6] = instants.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    ids[:, 6] = ids[:, 6] & 0x0F | 0x70
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids
