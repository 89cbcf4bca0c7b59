"""The overrides of Faust and aiokafka: what they rest on in the pinned versions, and what they change."""

import asyncio
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from aiokafka.consumer import fetcher
from faust.types import TP

from pipeline.errors import Exit
from pipeline.faustlib.app import build_app
from pipeline.faustlib.fetch import Fetch
from pipeline.faustlib.lanes import Lanes
from pipeline.faustlib.recovery import Recovery
from pipeline.settings import Settings, load
from tests.unit.batches import batch_bytes, event, record

TOPIC = TP("t", 0)


def test_the_versions_are_those_that_the_overrides_were_written_for() -> None:
    assert [version(name) for name in ("faust-streaming", "mode-streaming", "aiokafka")] == ["0.15.3", "0.7.1", "0.14.0"]


def test_a_fetch_comes_whole_and_moves_the_position_behind_its_last_record(tmp_path: Any) -> None:
    build_app(_settings(tmp_path), "classify", {}, _nothing)
    raw = batch_bytes([record(event(1)), record(event(2))], base=10) + batch_bytes([record(event(3))], base=12)
    whole = fetcher.PartitionRecords(TOPIC, fetcher.MemoryRecords(raw), None, 11, None, None, True, "read_uncommitted")
    assert whole.next_fetch_offset == 11
    (fetch,) = list(whole)
    assert (fetch.first, fetch.next, len(fetch.batches)) == (11, 13, 2)
    assert whole.next_fetch_offset == 13


def test_a_restore_is_not_cut_off_by_fausts_time_limit(tmp_path: Any) -> None:
    async def outlast() -> bool:
        app = build_app(_settings(tmp_path), "classify", {}, _nothing)
        recovery = app.tables.recovery
        assert isinstance(recovery, Recovery)
        done = False

        async def restore() -> None:
            nonlocal done
            await asyncio.sleep(0.2)
            done = True

        await recovery._wait(restore(), timeout=0.01)
        return done

    assert asyncio.run(outlast())


def test_a_damaged_fetch_ends_the_process_instead_of_the_fetching() -> None:
    code = """
from pipeline.faustlib import fetch
from aiokafka.consumer import fetcher
from faust.types import TP
from tests.unit.batches import batch_bytes, event, record
fetch.install()
raw = batch_bytes([record(event(1))])
fetcher.PartitionRecords(TP("events", 3), fetcher.MemoryRecords(raw[:-1] + bytes([raw[-1] ^ 1])), [], 0)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == Exit.STAY_DOWN
    assert "events partition 3 is damaged" in ended.stderr
    assert "checksum" in ended.stderr


class RecordingLane:
    """Counts what it is given; `next_offset` moves with it."""

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        self.taken: list[tuple[int, int]] = []

    async def take(self, fetch: Fetch) -> None:
        await asyncio.sleep(0)
        self.taken.append((fetch.first, fetch.next))
        self.next_offset = fetch.next

    async def idle(self) -> None:
        pass


class Seeks:
    """A consumer, as far as lanes use it."""

    def __init__(self) -> None:
        self.sought: list[dict[TP, int]] = []

    def assignment(self) -> set[TP]:
        return {TOPIC}

    async def seek_wait(self, positions: dict[TP, int]) -> None:
        self.sought.append(positions)


class Stream:
    """A Faust stream of these fetches."""

    def __init__(self, fetches: list[Fetch]) -> None:
        self._fetches = fetches

    def noack(self) -> "Stream":
        return self

    async def events(self) -> Any:
        for fetch in self._fetches:
            yield type(
                "Event",
                (),
                {"value": fetch, "message": type("M", (), {"tp": TP("t", fetch.partition)}), "ack": lambda _self: None},
            )()


def test_lanes_drop_what_is_done_and_seek_back_over_what_was_lost() -> None:
    #   state goes on at 5:  [0,5) done ── [5,8) taken ── [9,12) lost 8: sought back ── [8,12) taken
    async def served() -> tuple[RecordingLane, Seeks]:
        lane, seeks = RecordingLane(5), Seeks()

        async def open_lane(_partition: int) -> RecordingLane:
            return lane

        lanes = Lanes({"t": open_lane})
        assert await lanes.restore(frozenset({TOPIC})) == {TOPIC: 5}
        fetches = [Fetch("t", 0, first, following, []) for first, following in ((0, 5), (5, 8), (9, 12), (8, 12))]
        await lanes.serve(Stream(fetches), lambda: seeks)
        await asyncio.gather(*lanes._busy.values())
        return lane, seeks

    lane, seeks = asyncio.run(served())
    assert lane.taken == [(5, 8), (8, 12)]
    assert seeks.sought == [{TOPIC: 8}]


def test_a_revoked_lane_that_waits_is_ended_and_holds_back_no_other() -> None:
    other = TP("t", 1)
    never = asyncio.Event()
    ended: list[int] = []

    class WaitingLane(RecordingLane):
        async def take(self, fetch: Fetch) -> None:
            if fetch.partition == 0:
                try:
                    await never.wait()
                finally:
                    ended.append(fetch.partition)
            await super().take(fetch)

    async def served() -> tuple[dict[int, WaitingLane], list[int]]:
        opened: dict[int, WaitingLane] = {}

        async def open_lane(partition: int) -> WaitingLane:
            return opened.setdefault(partition, WaitingLane(0))

        lanes, seeks = Lanes({"t": open_lane}), Seeks()
        await lanes.restore(frozenset({TOPIC, other}))
        # The second of partition 0 waits for the first, and partition 1 stands behind it in the agent's queue.
        fetches = [Fetch("t", partition, first, first + 1, []) for partition, first in ((0, 0), (0, 1), (1, 0))]
        serving = asyncio.create_task(lanes.serve(Stream(fetches), lambda: seeks))
        while TOPIC not in lanes._busy:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        lanes.drop(frozenset({TOPIC}))
        await asyncio.wait_for(serving, 120)
        await asyncio.gather(*lanes._busy.values())
        return opened, ended

    opened, ended = asyncio.run(served())
    assert (opened[0].taken, opened[1].taken, ended) == ([], [(0, 1)], [0])


async def _nothing() -> None:
    pass


def _settings(folder: Any) -> Settings:
    return load(data_dir=folder, kafka_bootstrap="127.0.0.1:1")
