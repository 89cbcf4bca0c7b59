"""Kafka's murmur2 of 8-byte keys, a column at a time.

Source: org.apache.kafka.common.utils.Utils.murmur2; a record's partition is (murmur2(key) & 0x7fffffff) % partitions.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

_M = np.uint32(0x5BD1E995)
_SEED = np.uint32(0x9747B28C ^ 8)


def partition_of(keys: npt.NDArray[np.uint64], partitions: int) -> npt.NDArray[Any]:
    """The partition of each key; a key is 8 bytes read as an unsigned big-endian number."""
    little = keys.byteswap()
    h = np.full(len(keys), _SEED, np.uint32)
    for word in ((little & np.uint64(0xFFFFFFFF)).astype(np.uint32), (little >> np.uint64(32)).astype(np.uint32)):
        k = word * _M
        k ^= k >> np.uint32(24)
        k *= _M
        h *= _M
        h ^= k
    h ^= h >> np.uint32(13)
    h *= _M
    h ^= h >> np.uint32(15)
    return (h & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)


def partition_of_key(key: bytes, partitions: int) -> int:
    """The partition of one 8-byte key."""
    return int(partition_of(np.frombuffer(key, ">u8").astype(np.uint64), partitions)[0])
