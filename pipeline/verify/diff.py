"""Expected and stored rows against each other: nothing missing, nothing extra, nothing other."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from pipeline.verify.tables import TIMES, Shape
from pipeline.verify.verdict import Check, check_of, moment


def diff(shape: Shape, expected: pa.Table, found: pa.Table) -> Check:
    """Compare two tables of the shape, by key, exactly; the differences in the order of their keys."""
    if expected.equals(found):
        return Check(shape.name, expected.num_rows, expected.num_rows, 0)
    sentences: list[str] = []
    agreed = 0
    wanted, stored = _by_key(shape, expected), _by_key(shape, found)
    for key in sorted(wanted.keys() | stored.keys()):
        if key not in wanted:
            sentences.append(f"{_place(shape, key)}: {_said(shape, stored[key][0])} found, nothing expected")
        elif key not in stored:
            sentences.append(f"{_place(shape, key)}: nothing found, {_said(shape, wanted[key][0])} expected")
        elif len(stored[key]) > 1:
            sentences.append(f"{_place(shape, key)}: found {len(stored[key])} times, once expected")
        elif stored[key] != wanted[key]:
            sentences.append(f"{_place(shape, key)}: {'; '.join(_changes(shape, wanted[key][0], stored[key][0]))}")
        else:
            agreed += 1
    return check_of(shape.name, expected.num_rows, agreed, sentences)


def _by_key(shape: Shape, table: pa.Table) -> Mapping[tuple[Any, ...], list[tuple[Any, ...]]]:
    rows: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    # Rather by columns than to_pylist: a dictionary a row would be several times the memory.
    columns = [table.column(name).to_pylist() for name in shape.columns]
    for row in zip(*columns, strict=True):
        rows.setdefault(row[: len(shape.keys)], []).append(row[len(shape.keys) :])
    return rows


def _changes(shape: Shape, wanted: tuple[Any, ...], stored: tuple[Any, ...]) -> Iterator[str]:
    for name, ours, theirs in zip(shape.values, wanted, stored, strict=True):
        if ours != theirs:
            yield f"{name} is {readable(name, theirs)}, expected {readable(name, ours)}"


def _place(shape: Shape, key: tuple[Any, ...]) -> str:
    short = {"source_partition": "partition", "source_offset": "offset", "artist_id": "artist"}
    return ", ".join(
        f"{short.get(name, name.replace('_', ' '))} {readable(name, value)}"
        for name, value in zip(shape.keys, key, strict=True)
    )


def _said(shape: Shape, values: tuple[Any, ...]) -> str:
    return ", ".join(f"{name} {readable(name, value)}" for name, value in list(zip(shape.values, values, strict=True))[:3])


def readable(name: str, value: Any) -> str:
    """A column's value for a sentence: times as ISO, ids as hex."""
    if isinstance(value, bytes):
        return value.hex()
    return moment(value) if name in TIMES and isinstance(value, int) else str(value)
