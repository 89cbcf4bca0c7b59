"""The state: what engine, Kafka and sinks told, as one document. Pure."""

from dataclasses import dataclass

from pipeline.api.copies import KINDS
from pipeline.api.documents import (
    Copies,
    DeadLetters,
    Dependencies,
    Freshness,
    Lag,
    PartitionState,
    Place,
    Rates,
    State,
    Top,
    Totals,
    iso,
)
from pipeline.api.kafka import KafkaFacts
from pipeline.api.look_store import Stored
from pipeline.api.ready import reasons
from pipeline.settings import Settings
from pipeline.topics import topics_of


@dataclass(frozen=True, slots=True)
class Told:
    """What was told by whom, and how old it is in seconds; None where nothing was yet. `sink_lag`: records."""

    stored: Stored | None
    stored_age: float | None
    kafka: KafkaFacts | None
    kafka_age: float | None
    sink_lag: int | None


def state_of(settings: Settings, at_ms: int, told: Told, rates: Rates, needs: Dependencies) -> State:
    """`at_ms`: the clock, epoch ms."""
    stored, why = told.stored, reasons(needs)
    watermark = stored.watermark if stored else 0
    lags = _lags(settings, told)
    return State(
        at=iso(at_ms) or "",
        run=settings.run,
        ready=not why,
        reasons=why,
        watermark=iso(watermark),
        # A replay's clock has nothing to do with ours.
        event_lag_seconds=(at_ms - watermark) / 1000 if watermark and settings.append_time else None,
        top=_top(settings, told),
        rates=rates,
        totals=Totals(**stored.totals) if stored else Totals(),
        lag=Lag(
            classify=_sum(lags.get("classify")),
            count=_sum(lags.get("count")),
            rank=_sum(lags.get("rank")),
            sink=told.sink_lag,
        ),
        partitions=_partitions(settings, stored, lags.get("classify", {})),
        duplicates=[Copies(kind=kind, count=stored.copies.get(kind, 0) if stored else 0) for kind in KINDS],
        duplicates_pending=stored.copies_pending if stored else 0,
        dlq=DeadLetters(
            records=told.kafka.letters if told.kafka else None, reasons=told.kafka.reasons if told.kafka else {}
        ),
        freshness=_freshness(stored, watermark),
        age_seconds={"clickhouse": _rounded(told.stored_age), "kafka": _rounded(told.kafka_age)},
    )


def _lags(settings: Settings, told: Told) -> dict[str, dict[int, int]]:
    """Stage → partition → records that wait."""
    if told.kafka is None:
        return {}
    topics, kafka = topics_of(settings), told.kafka
    # What classify committed is a hint: where its outcomes are stored, it has been.
    passed = {number: one.next for number, one in told.stored.partitions.items()} if told.stored else {}
    return {
        "classify": kafka.behind(topics.events, "classify", passed),
        "count": kafka.behind(topics.plays, "rank"),
        "rank": kafka.behind(topics.counts, "rank"),
    }


def _partitions(settings: Settings, stored: Stored | None, lag: dict[int, int]) -> list[PartitionState]:
    found = []
    for number in range(settings.partitions):
        one = stored.partitions.get(number) if stored else None
        found.append(
            PartitionState(
                partition=number,
                records=one.sums["records"] if one else 0,
                accepted=one.sums["accepted"] if one else 0,
                duplicates=one.sums["duplicates"] if one else 0,
                watermark=iso(one.watermark if one else 0),
                lag=lag.get(number),
            )
        )
    return found


def _top(settings: Settings, told: Told) -> Top:
    found, age = (told.stored.top, told.stored.top_age_seconds) if told.stored else (None, 0.0)
    old = age + (told.stored_age or 0)
    stands = told.stored.top_stands_seconds if told.stored else 0
    return Top(
        run=settings.run,
        rows=[
            Place(rank=one.rank, artist_id=one.artist_id, name=one.name, plays=one.plays)
            for one in (found.rows if found else [])
        ],
        start=iso(found.start_ms) if found else None,
        end=iso(found.end_ms) if found else None,
        window_seconds=settings.window_seconds,
        final=bool(found and found.final),
        watermark=iso(found.watermark_ms) if found else None,
        source="panes",
        note=found.note if found else "the store has not answered yet",
        age_ms=round(old * 1000),
        max_age_ms=round(max(settings.api_cache_seconds + stands, old) * 1000),
    )


def _freshness(stored: Stored | None, watermark: int) -> Freshness:
    newest, final = (stored.newest_window_end, stored.newest_final_end) if stored else (0, 0)
    return Freshness(
        newest_window_end=iso(newest),
        newest_final_end=iso(final),
        # Lists are looked at after the watermark: they may have gone on by then.
        final_behind_seconds=max(0, watermark - final) / 1000 if watermark and final else None,
    )


def _sum(lag: dict[int, int] | None) -> int | None:
    return None if lag is None else sum(lag.values())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
