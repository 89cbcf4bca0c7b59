"""The producer's rate: `python -m tests.benchmarks.bench_producer`, about a minute, with a broker of its own.

A whole producing session against a running broker (acks=all, idempotent, ledger and ticks), and the processor time that its
parts take by themselves; the columnar encoder beside fastavro, whose bytes it must give.
"""

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import fastavro

import schemas
from deploy.embedded.broker import running_broker
from deploy.embedded.ports import free_ports
from pipeline.codec.events import FRAME
from pipeline.settings import Settings, load
from producers.columns import Columns, height, join, take
from producers.encode import encode_columns
from producers.listeners.people import COUNTRIES, PLATFORMS, SERVICES
from producers.listeners.tracks import REASONS
from producers.produce import produce
from producers.scenarios.load import load_scenario
from producers.scenarios.model import Scenario
from producers.world import build_world

EVENTS = 1_000_000
FASTAVRO_EVENTS, BLOCK = 100_000, 10_000
START = 1_795_392_000_000
WORDS = {"platform": PLATFORMS, "reason_end": REASONS, "service": SERVICES, "country": COUNTRIES}
T = TypeVar("T")


def producer_rate(settings: Settings, events: int = EVENTS) -> dict[str, Any]:
    """Publish the scenario `demo` with so many events, copies among them, into the run, which must be new.

    `events_per_second` is by the wall, from the first event to the last answer. The rest is µs of processor time an event:
    `cpu_us` of the whole process (librdkafka's threads, set-up and the joining of the ledger included) and, apart, of making
    the records and of encoding them; publishing is what is left. Raises as `produce` does.
    """
    scenario = load_scenario("demo").model_copy(update={"events": events})
    generation, encoding = _parts(scenario, settings)
    began = time.process_time()
    done = produce(settings, scenario)
    cpu_us = (time.process_time() - began) / events * 1e6
    return {
        "events": done.published,
        "acknowledged": done.acknowledged,
        "events_per_second": round(done.events_per_second),
        "cpu_us": round(cpu_us, 3),
        "generation_us": round(generation, 3),
        "encoding_us": round(encoding, 3),
        "publishing_us": round(cpu_us - generation - encoding, 3),
    }


def encoding_rate(events: int = FASTAVRO_EVENTS) -> dict[str, Any]:
    """µs of processor time an event, best of 5: by columns, and by fastavro record by record, its dictionaries given.

    `equal`: both gave the same bytes.
    """
    scenario = load_scenario("demo").model_copy(update={"events": events})
    records = join(list(build_world(scenario).records(load().rules, START)))
    steps = [take(records, slice(first, first + BLOCK)) for first in range(0, events, BLOCK)]
    dictionaries = [event for step in steps for event in _dictionaries(step)]
    schema = fastavro.parse_schema(schemas.schema(schemas.EVENTS_SUBJECT, 1))
    frame = FRAME.pack(0, schemas.schema_id(schemas.EVENTS_SUBJECT, 1))

    def by_fastavro() -> list[bytes]:
        written = []
        for event in dictionaries:
            out = io.BytesIO(frame)
            out.seek(len(frame))
            fastavro.schemaless_writer(out, schema, event)
            written.append(out.getvalue())
        return written

    def by_columns() -> list[bytes]:
        encoded = [encode_columns(step) for step in steps]
        return [buffer[begin:end] for buffer, bounds in encoded for begin, end in pairwise(bounds)]

    (ours, columns), (theirs, dictionary) = _best_of_5(by_columns), _best_of_5(by_fastavro)
    return {
        "columns_us": round(columns / events * 1e6, 3),
        "fastavro_us": round(dictionary / events * 1e6, 3),
        "equal": ours == theirs,
    }


def _parts(scenario: Scenario, settings: Settings) -> tuple[float, float]:
    """µs an event of making the records, and of encoding them."""
    generation = encoding = 0.0
    steps = build_world(scenario).records(settings.rules, START)
    while True:
        began = time.thread_time()
        step = next(steps, None)
        made = time.thread_time()
        generation += made - began
        if step is None:
            return generation / scenario.events * 1e6, encoding / scenario.events * 1e6
        if height(step):
            encode_columns(step)
            encoding += time.thread_time() - made


def _dictionaries(step: Columns) -> list[dict[str, Any]]:
    columns = {}
    for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]:
        name, values = field["name"], step[field["name"]]
        columns[name] = [row.tobytes() for row in values] if values.ndim == 2 else values.tolist()
        if name in WORDS:
            columns[name] = [WORDS[name][index] for index in columns[name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _best_of_5(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the least processor time in seconds that it took."""
    least = float("inf")
    for _ in range(5):
        began = time.thread_time()
        given = work()
        least = min(least, time.thread_time() - began)
    return given, least


def main(arguments: list[str]) -> int:
    if arguments:  # into the run that the environment names: a process that has done nothing else
        print(json.dumps(producer_rate(load())))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        kafka, controller = free_ports(2)
        settings = load(data_dir=Path(folder), kafka_port=kafka, kafka_controller_port=controller)
        with running_broker(settings):
            print(json.dumps({"producer": producer_rate(settings), "encoding": encoding_rate()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
