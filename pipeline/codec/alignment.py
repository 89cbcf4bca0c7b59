"""The proof that decoded rows are records: each covers exactly one, from its first byte to its last."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.codec.event_columns import Kind
from pipeline.codec.layout import column_of
from pipeline.codec.writer import Writer, WrittenField

Longs = npt.NDArray[np.int64]
_FALSE, _TRUE = b"\0", b"\1"
_ANY_LONG = (-(1 << 63), 1 << 63)
_LONGEST = 10
"""Bytes of a varint of 64 bits; its last one holds one bit."""


def is_aligned(frame: pl.DataFrame, writer: Writer, joined: bytes, counts: Longs, sizes: Longs) -> bool:
    """Whether each row covers exactly one record.

    Let canon(row) be the encoded size of the decoded values with shortest varints; what the decoder consumed is never less.
    If each record's own length equals canon less its length field, each batch's rows sum up to the batch's size, and
    together they consumed no more than all bodies, then every row consumed exactly canon, so row 0 began at 0 and each next
    one where its predecessor's record ended.
    """
    length, value_length = frame["length"].to_numpy(), frame["value_length"].to_numpy()
    offset_delta = frame["offset_delta"].to_numpy()
    expected_delta = np.arange(len(length)) - np.repeat(np.cumsum(counts) - counts, counts)
    constant = (
        (pl.col("frame") == pl.lit(writer.frame))
        & (pl.col("attributes") == pl.lit(_FALSE))
        & (pl.col("key_length") == 8)
        & (pl.col("headers") == 0)
    )
    for number, field in enumerate(writer.fields):
        column = pl.col(column_of(number, field))
        if field.kind is Kind.BOOLEAN:
            fits = (column == pl.lit(_FALSE)) | (column == pl.lit(_TRUE))
        elif field.kind is Kind.NUMBER and field.is_bounded and (field.least, field.below) != _ANY_LONG:
            # Here only what the record path would not take for an event.
            fits = (column >= field.least) & (column < field.below)
        else:
            continue
        constant &= (column.is_null() | fits) if field.nullable else fits
    if not frame.select(constant.all()).item() or not np.array_equal(offset_delta, expected_delta):
        return False
    value_size = np.full(len(length), len(writer.frame), np.int64)
    branches: list[tuple[WrittenField, Longs, npt.NDArray[np.bool_]]] = []
    tenths: list[tuple[Longs, Longs]] = []
    for number, field in enumerate(writer.fields):
        width = _sizes(frame, number, field)
        if field.nullable:
            branches.append((field, value_size.copy(), frame[column_of(number, field)].is_null().to_numpy()))
        if field.kind is Kind.NUMBER:
            rows = np.flatnonzero(width == _LONGEST + field.nullable)
            if len(rows):
                tenths.append((rows, (value_size + width)[rows] - 1))
        value_size += width
    record_size = (
        1  # attributes
        + varint_width(frame["timestamp_delta"].to_numpy())
        + varint_width(offset_delta)
        + 1  # the key's length, 8
        + 8
        + varint_width(value_size)
        + value_size
        + 1  # no headers
    )
    if not (np.array_equal(value_length, value_size) and np.array_equal(length, record_size)):
        return False
    whole = record_size + varint_width(record_size)
    if not np.array_equal(np.add.reduceat(whole, np.cumsum(counts) - counts), sizes):
        return False
    # The decoder takes any number for a branch, so what was written is looked up, now that each row's place is known.
    written, values = np.frombuffer(joined, np.uint8), np.cumsum(whole) - 1 - value_size
    for field, before, is_null in branches:
        expected = np.where(is_null, 2 * (field.null_branch or 0), 2 - 2 * (field.null_branch or 0))
        if not np.array_equal(written[values + before], expected):
            return False
    # It also drops what a varint's tenth byte holds beyond the 64th bit: such a number is none.
    return all((written[values[rows] + tenth] == 1).all() for rows, tenth in tenths)


def _sizes(frame: pl.DataFrame, number: int, field: WrittenField) -> Longs | int:
    """Bytes of each value of a field, with shortest varints."""
    if field.kind is Kind.FIXED and not field.nullable:
        return field.size
    column = frame[column_of(number, field)]
    if not field.nullable:
        return _plain_sizes(column, field)
    present = column.is_not_null().to_numpy()
    sizes = np.ones(len(column), np.int64)  # the branch
    sizes[present] += _plain_sizes(column.drop_nulls(), field)
    return sizes


def _plain_sizes(column: pl.Series, field: WrittenField) -> Longs | int:
    match field.kind:
        case Kind.NUMBER:
            return varint_width(column.to_numpy())
        case Kind.BOOLEAN:
            return 1
        case Kind.FIXED:
            return field.size
        case Kind.STRING | Kind.BYTES:
            length = (column.str.len_bytes() if field.kind is Kind.STRING else column.bin.size()).to_numpy().astype(np.int64)
            return length + varint_width(length)


def varint_width(values: npt.NDArray[Any]) -> Longs:
    """Bytes of each value as a zigzag varint. As many passes as the widths differ: mostly none or one."""
    signed = values.astype(np.int64, copy=False)
    zigzag = (signed.view(np.uint64) << np.uint64(1)) ^ (signed >> np.int64(63)).view(np.uint64)
    if not len(zigzag):
        return np.zeros(0, np.int64)
    narrowest, widest = _width(int(zigzag.min())), _width(int(zigzag.max()))
    width = np.full(len(zigzag), narrowest, np.int64)
    for bytes_below in range(narrowest, widest):
        width += zigzag >= np.uint64(1 << (7 * bytes_below))
    return width


def _width(zigzag: int) -> int:
    return max(1, -(-zigzag.bit_length() // 7))
