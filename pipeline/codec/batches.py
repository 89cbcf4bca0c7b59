"""Walk the record batches of a fetch (Kafka's record format v2) without an object per record.

Source: https://kafka.apache.org/documentation/#recordbatch. A batch is a header of 61 bytes and a body, the records, which
may be compressed as a whole.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.record.util import calc_crc32c

from pipeline.errors import RefusedError

# base offset, length, leader epoch, magic, crc, attributes, last offset delta, base and max timestamp, producer id,
# producer epoch, base sequence, count
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH_FIELD = 12  # base offset and length come before what `length` measures
_CRC_FROM = 21  # the checksum covers everything from the attributes on
_DECODERS: dict[int, Callable[[bytes], bytes]] = {
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """One record batch: its offsets (`last` inclusive), times (epoch ms), flags, and its bytes with the header."""

    base: int
    last: int
    count: int
    base_timestamp: int
    max_timestamp: int
    attributes: int
    raw: bytes

    @property
    def append_time(self) -> bool:
        """Whether the broker dated the batch (LogAppendTime): then every record has `max_timestamp`."""
        return bool(self.attributes & 0x08)

    @property
    def transactional(self) -> bool:
        return bool(self.attributes & 0x10)

    @property
    def control(self) -> bool:
        """Whether it holds a transaction's marker, which is no record."""
        return bool(self.attributes & 0x20)

    def body(self) -> bytes:
        """The records, decompressed. Raises ValueError where that fails."""
        packed = self.raw[_HEADER.size :]
        codec = self.attributes & 0x07
        if codec == 0:
            return packed
        try:
            return bytes(_DECODERS[codec](packed))
        except Exception as error:  # cramjam raises its own kinds, a KeyError is an unknown codec
            raise ValueError(f"batch at offset {self.base} does not decompress (codec {codec}): {error}") from error


def walk(data: bytes) -> list[Batch]:
    """The complete batches in fetched bytes; a cut one at the end is left for the next fetch.

    Raises RefusedError where a checksum does not fit or the format is older than v2: the bytes aren't what the broker
    accepted, and asking for them again brings the same, so nothing after them may be trusted either.
    """
    batches: list[Batch] = []
    view = memoryview(data)
    position, end = 0, len(data)
    while position + _HEADER.size <= end:
        base, length, _epoch, magic, crc, attributes, last_delta, base_ts, max_ts, _pid, _pepoch, _seq, count = (
            _HEADER.unpack_from(data, position)
        )
        following = position + _LENGTH_FIELD + length
        if following > end:
            break
        if magic != 2:
            raise RefusedError(f"the batch at offset {base} has record format v{magic}, only v2 is read")
        raw = bytes(view[position:following])
        if calc_crc32c(raw[_CRC_FROM:]) != crc:
            raise RefusedError(f"the batch at offset {base} is damaged: its checksum does not fit")
        batches.append(Batch(base, base + last_delta, count, base_ts, max_ts, attributes, raw))
        position = following
    return batches
