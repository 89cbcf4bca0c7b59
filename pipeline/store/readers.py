"""Kafka records of the derived topics → rows of the store's tables: folds over the log, without I/O.

plays ─► plays, duplicates, batches
artist-counts ─► artist_counts, count_positions
top-artists ─► top_artists
artists ─► artists
"""

import io
from dataclasses import dataclass, field
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline.codec.container import COUNTS_SCHEMA, PLAYS_SCHEMA, TOP_SCHEMA
from pipeline.codec.headers import CountsHeaders, HeaderError, PlaysHeaders, TopHeaders
from pipeline.errors import RefusedError
from pipeline.outcomes import Outcome
from pipeline.rules import differences
from pipeline.store.records import Record, Rows, of_outcomes, rows_in, rows_of_container
from pipeline.store.tables import rows_of, table_of

_STORED = [outcome.label for outcome in (Outcome.ACCEPTED, Outcome.LATE, Outcome.SUSPECT)]
"""Outcomes of rows in the table `plays`."""
_DUPLICATE = [Outcome.DUPLICATE.label]


@dataclass
class PlaysReader:
    """`plays`: a record counts only at the offset it names (rule 3), and ranges of source offsets have no gaps."""

    rules: str
    expected: dict[int, int] = field(default_factory=dict)
    """Partition → next source offset."""

    def resume(self, partition: int, metadata: str) -> None:
        self.expected[partition] = int(metadata or 0)

    def metadata(self, partition: int, offset: int) -> str:  # noqa: ARG002
        return str(self.expected[partition])

    def read(self, record: Record) -> Rows | None:
        headers = PlaysHeaders.valid_at(record.offset, record.headers)
        if headers is None:
            return None
        where = f"plays partition {record.partition}, offset {record.offset}"
        expected = self.expected.get(record.partition, 0)
        if headers.first != expected:
            raise RefusedError(
                f"{where} begins at source offset {headers.first}, expected was {expected}: records were lost or added; "
                "the log can't be trusted, start a new run by LISTENING_RUN and replay into it"
            )
        _check_rules(where, self.rules, headers.rules)
        rows = rows_of_container(where, record.value, PLAYS_SCHEMA)
        if rows.num_rows != sum(headers.counts):
            raise RefusedError(f"{where} holds {rows.num_rows} rows, its headers say {sum(headers.counts)}")
        tables = [*_play_rows(where, record.partition, rows), ("batches", _batch(record.partition, headers))]
        self.expected[record.partition] = headers.last + 1
        return tables


def _play_rows(where: str, partition: int, rows: pa.Table) -> Rows:
    renamed = rows.rename_columns({"offset": "source_offset"})
    stored, duplicates = of_outcomes(where, renamed, _STORED), of_outcomes(where, renamed, _DUPLICATE)
    tables = []
    if stored.num_rows:
        first = stored["first_offset"]
        repeats = pc.not_equal(first, stored["source_offset"])
        suspect_of = pc.if_else(repeats, first, pa.nulls(stored.num_rows, first.type))
        tables.append(("plays", rows_in(where, "plays", stored, source_partition=partition, suspect_of=suspect_of)))
    if duplicates.num_rows:
        tables.append(("duplicates", rows_in(where, "duplicates", duplicates, source_partition=partition)))
    return tables


def _batch(partition: int, headers: PlaysHeaders) -> pa.Table:
    counts = dict(zip(Outcome, headers.counts, strict=True))
    row = {outcome.label: count for outcome, count in counts.items()} | {
        "source_partition": partition,
        "first_offset": headers.first,
        "last_offset": headers.last,
        "records": sum(headers.counts),
        "ticks": headers.ticks,
        "absent": headers.absent,
        "duplicates": counts[Outcome.DUPLICATE],
        "watermark": headers.watermark,
    }
    return table_of("batches", row, 1)


def _check_rules(where: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise RefusedError(
            f"{where} was written under other rules than this store's ({'; '.join(differences(ours, theirs))}): "
            "set them back, or use a new run by LISTENING_RUN"
        )


class _Stateless:
    """A topic whose records each stand for themselves."""

    def resume(self, partition: int, metadata: str) -> None:
        pass

    def metadata(self, partition: int, offset: int) -> str:  # noqa: ARG002
        return str(offset)


@dataclass
class CountsReader(_Stateless):
    """`artist-counts`: absolute counts; the last part of an announcement says how far they are whole."""

    rules: str

    def read(self, record: Record) -> Rows | None:
        try:
            headers = CountsHeaders.decode(record.headers)
        except HeaderError:
            return None
        where = f"artist-counts partition {record.partition}, offset {record.offset}"
        _check_rules(where, self.rules, headers.rules)
        counts = rows_of_container(where, record.value, COUNTS_SCHEMA)
        rows: Rows = [("artist_counts", rows_in(where, "artist_counts", counts))] if counts.num_rows else []
        if headers.complete:
            position = {
                "source_partition": headers.partition,
                "shard": record.partition,
                "counted": headers.counted,
                "watermark": headers.watermark,
            }
            rows.append(("count_positions", table_of("count_positions", position, 1)))
        return rows


class TopsReader(_Stateless):
    """`top-artists`: one ranked list a record."""

    def read(self, record: Record) -> Rows | None:
        try:
            headers = TopHeaders.decode(record.headers)
        except HeaderError:
            return None
        where = f"top-artists partition {record.partition}, offset {record.offset}"
        rows = rows_of_container(where, record.value, TOP_SCHEMA)
        if not rows.num_rows:
            return []
        return [
            (
                "top_artists",
                rows_in(
                    where,
                    "top_artists",
                    rows,
                    window_end=headers.window_end,
                    shard=headers.shard,
                    final=headers.final,
                    version=headers.version,
                    k=headers.k,
                ),
            )
        ]


class ArtistsReader(_Stateless):
    """`artists`: names in Confluent's wire format, by fastavro: few and small."""

    def read(self, record: Record) -> Rows | None:
        value = record.value
        if value is None or value[:1] != b"\0" or len(value) < 5:
            return None
        subject, version = schemas.registry().get(int.from_bytes(value[1:5], "big"), ("", 0))
        if subject != schemas.ARTISTS_SUBJECT:
            return None
        written = fastavro.parse_schema(schemas.schema(subject, version))
        try:
            row: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), written, None)
        except (EOFError, ValueError, IndexError):
            return None
        return [("artists", rows_of("artists", [row]))]
