"""The run in Prometheus' text format: the state, what the sinks wrote, HTTP, and what the workers wrote of themselves."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.api.requests import Requests
from pipeline.api.textfiles import merged
from pipeline.api.watch import Seen
from pipeline.outcomes import LABELS
from pipeline.store.sink import Progress

Values = Mapping[Any, float | None]
"""Labels' values, a tuple → value; None: there is none, and so no sample."""


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(seen: Seen, progress: Mapping[str, Progress], requests: Requests, textfiles: Path) -> bytes:
    """All families. Where two tell of the same, the state does: workers forget with each restart, it does not."""
    ours = [*_of_state(seen), *_of_sinks(progress), _of_http(requests)]
    registry = CollectorRegistry()
    registry.register(_Families([*ours, *merged(textfiles, {family.name for family in ours})]))
    return generate_latest(registry)


def _of_state(seen: Seen) -> list[Metric]:
    state = seen.state
    outcomes = {(label,): getattr(state.totals, "duplicates" if label == "duplicate" else label) for label in LABELS}
    stored, windows = seen.stored, state.freshness
    # A counter that isn't known yet is left out: as 0 it would fall, and climb again to where it was.
    counted = {(kind.kind,): kind.count for kind in state.duplicates} if stored and not state.duplicates_pending else {}
    needs = {(name,): float(one.ok) for name, one in seen.needs}
    return [
        _counter("listening_events", "Events by outcome", ["outcome"], outcomes if stored else {}),
        _counter("listening_ticks", "Ticks", [], {(): state.totals.ticks} if stored else {}),
        _counter("listening_copies", "Copies of events by kind", ["kind"], counted),
        _counter(
            "listening_dlq_records", "Dead letters by reason", ["reason"], {(r,): n for r, n in state.dlq.reasons.items()}
        ),
        _gauge("listening_event_time_lag_seconds", "Watermark behind the clock", [], {(): state.event_lag_seconds}),
        _gauge(
            "listening_watermark_timestamp_seconds",
            "Global watermark, unix time",
            [],
            {(): stored.watermark / 1000 if stored and stored.watermark else None},
        ),
        _gauge("listening_consumer_lag_records", "Records that wait", ["stage"], {(s,): n for s, n in state.lag}),
        _gauge(
            "listening_window_final_behind_seconds",
            "Watermark past the end of the newest final window",
            [],
            {(): windows.final_behind_seconds},
        ),
        _gauge(
            "listening_window_final_end_timestamp_seconds",
            "End of the newest final window, unix time",
            [],
            {(): stored.newest_final_end / 1000 if stored and stored.newest_final_end else None},
        ),
        _gauge(
            "listening_state_age_seconds",
            "How old what each told is",
            ["source"],
            {(s,): a for s, a in state.age_seconds.items()},
        ),
        _gauge("listening_dependency_up", "Whether a dependency is well", ["dependency"], needs),
    ]


def _of_sinks(progress: Mapping[str, Progress]) -> list[Metric]:
    now, written = time.monotonic(), dict[tuple[str, ...], float]()
    for one in progress.values():
        for table, rows in one.written.copy().items():
            written[table,] = written.get((table,), 0) + rows
    delays = {(kind,): one.delay(now) for kind, one in progress.items()}
    waiting = {(kind,): float(one.lag) for kind, one in progress.items()}
    return [
        _counter("listening_rows_written", "Rows inserted since the store started", ["table"], written),
        _gauge("listening_sink_delay_seconds", "From a sink's read to its commit, at worst", ["topic"], delays),
        _gauge("listening_sink_lag_records", "Records that wait for a sink", ["topic"], waiting),
    ]


def _of_http(requests: Requests) -> Metric:
    counts = {(method, route, str(status)): float(n) for (method, route, status), n in requests.counts.copy().items()}
    return _counter("listening_http_requests", "HTTP requests", ["method", "route", "status"], counts)


def _counter(name: str, help_: str, labels: list[str], values: Values) -> Metric:
    return _filled(CounterMetricFamily(name, help_, labels=labels), values)


def _gauge(name: str, help_: str, labels: list[str], values: Values) -> Metric:
    return _filled(GaugeMetricFamily(name, help_, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Values) -> Metric:
    for labels, value in values.items():
        if value is not None:
            family.add_metric(list(labels), value)
    return family
