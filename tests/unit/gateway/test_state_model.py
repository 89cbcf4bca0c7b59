"""The state against a model in memory, over random histories of clocks, charges and calls."""

import itertools
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from producers.gateway.idempotency import Begun, InFlight, Mismatch, Stored
from producers.gateway.limit import Limit
from producers.gateway.state import State
from tests.unit.gateway.windows import Admitted, fullest

LIMITS = {"a": Limit(6, 12), "b": Limit(3, 7)}
KEYS, NAMES, DIGESTS = st.sampled_from("ab"), st.sampled_from(["one", "two"]), st.sampled_from([b"x", b"x", b"x", b"y"])
LEASE = 20
WHEN = st.sampled_from([None, None, 0, 0, -1, 1, -LEASE - 5])
"""Around the end of a lease or of a window, before it began, or (None) whenever it is."""
BODIES = st.sampled_from([b"", b"\x00\xff{}", b'{"events":1}'])
DAY = 86_400_000


@dataclass
class Call:
    digest: bytes
    owner: int
    begun: int
    lease_end: int
    released: bool = False
    answer: tuple[int, bytes] | None = None
    finished: int = 0

    @property
    def ended(self) -> int:
        return self.finished if self.answer else self.lease_end


class Histories(RuleBasedStateMachine):
    """Two states on one file stand for two processes; each call comes from one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.sqlite"
        self.states = [State(self.path), State(self.path)]
        self.turns = itertools.cycle([0, 0, 1])
        self.now = 1_000_000
        self.owners = itertools.count(1)
        self.begun: list[tuple[tuple[str, str], int]] = []
        self.calls: dict[tuple[str, str], Call] = {}
        self.admitted = {name: Admitted(limit.events, limit.window_ms) for name, limit in LIMITS.items()}

    def teardown(self) -> None:
        for state in self.states:
            state.close()
        self.folder.cleanup()

    @property
    def state(self) -> State:
        return self.states[next(self.turns)]

    @rule(gap=st.integers(-30, 30))
    def time_passes_or_a_clock_goes_back(self, gap: int) -> None:
        self.now += gap

    @rule(key=KEYS, events=st.integers(0, 7), which=st.integers(1, 4), when=WHEN)
    def charge(self, key: str, events: int, which: int, when: int | None) -> None:
        truth = self.admitted[key]
        if when is not None and len(truth.charges) >= which:
            self.now = truth.charges[-which][0] + truth.window_ms + when
        verdict = self.state.charge(key, events, LIMITS[key], self.now)
        assert astuple(verdict) == truth.charge(self.now, events)

    @rule(key=KEYS, name=NAMES, digest=DIGESTS, when=WHEN)
    def begin(self, key: str, name: str, digest: bytes, when: int | None) -> None:
        self.go_to((key, name), when)
        owner = next(self.owners)
        found = self.state.begin(key, name, digest, str(owner), self.now, LEASE)
        call = self.calls.get((key, name))
        if call is not None and call.digest != digest:
            assert found == Mismatch()
        elif call is not None and call.answer:
            assert found == Stored(*call.answer)
        elif call is not None and not call.released and max(self.now, call.begun) < call.lease_end:
            assert found == InFlight(min(call.lease_end - self.now, LEASE))
        else:
            assert found == Begun()
            start = max(self.now, call.begun) if call else self.now
            self.calls[key, name] = Call(digest, owner, start, start + LEASE)
            self.begun.append(((key, name), owner))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), when=st.sampled_from([-1, 0]))
    def begin_the_same_around_the_end_of_its_lease(self, data: st.DataObject, when: int) -> None:
        (key, name), call = data.draw(st.sampled_from(list(self.calls.items())))
        self.begin(key, name, call.digest, when)

    def go_to(self, call: tuple[str, str], when: int | None) -> None:
        if when is not None and call in self.calls:
            self.now = self.calls[call].lease_end + when

    def owned(self, call: tuple[str, str], owner: int) -> Call | None:
        known = self.calls.get(call)
        return known if known and known.owner == owner and not known.released and not known.answer else None

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), status=st.sampled_from([200, 422]), body=BODIES, when=WHEN)
    def finish(self, data: st.DataObject, status: int, body: bytes, when: int | None) -> None:
        (key, name), owner = data.draw(st.sampled_from(self.begun[-6:]))
        self.go_to((key, name), when)
        mine = self.owned((key, name), owner)
        assert self.state.finish(key, name, str(owner), status, body, self.now) == bool(mine)
        if mine:
            mine.answer, mine.finished = (status, body), max(self.now, mine.begun)

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), when=WHEN)
    def renew(self, data: st.DataObject, when: int | None) -> None:
        (key, name), owner = data.draw(st.sampled_from(self.begun[-6:]))
        self.go_to((key, name), when)
        mine = self.owned((key, name), owner)
        assert self.state.renew(key, name, str(owner), self.now, LEASE) == bool(mine)
        if mine:
            mine.begun = max(mine.begun, self.now)
            mine.lease_end = max(mine.lease_end, mine.begun + LEASE)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        (key, name), owner = data.draw(st.sampled_from(self.begun[-6:]))
        mine = self.owned((key, name), owner)
        assert self.state.release(key, name, str(owner)) == bool(mine)
        if mine:
            mine.released = True

    @rule(keep=st.sampled_from([LEASE, LEASE + 5, 60, 60, DAY]))
    def purge(self, keep: int) -> None:
        if keep == DAY:
            self.now += DAY
        gone = [name for name, call in self.calls.items() if call.ended + keep <= self.now]
        assert self.state.purge(self.now, keep) == len(gone)
        for name in gone:
            del self.calls[name]
        for admitted in self.admitted.values():
            admitted.charges = [charge for charge in admitted.charges if charge[0] > self.now - DAY]

    @rule(which=st.sampled_from([0, 1]))
    def a_process_starts_again(self, which: int) -> None:
        self.states[which].close()
        self.states[which] = State(self.path)

    @invariant()
    def no_window_holds_more_than_the_limit(self) -> None:
        for admitted in self.admitted.values():
            assert fullest(admitted.charges[-10:], admitted.window_ms) <= admitted.limit


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=45, deadline=None)
