"""Sessions: listeners who play track after track. A step gives exactly as many plays as it is asked for.

session begins ─► plays ─► another track? ─► plays ─► …
Sessions go on with the same probability after every track. So those that are under way when the scenario begins look like
new ones (but for the track that is on: a long one is the likelier to be met), and no warming up is needed.
"""

import numpy as np

from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns, height, join, take
from producers.listeners.demand import Demand, Habits
from producers.listeners.people import PLATFORMS, People, pick_platforms
from producers.listeners.tracks import listen, pick_tracks

GOES_ON = 7 / 8
"""Probability of another track after each: sessions of eight tracks on average."""
LONGEST_GAP_MS = 2_000
SERVICES = ("listening", "listening-car", "listening-speaker", "scrobbler", "listening-partner")
LOOK_ALIKES = ("", "on_repeat", "shared_account")
_SERVICE_OF = np.array([{"car": 1, "speaker": 2}.get(name, 0) for name in PLATFORMS])
_DEVICE_SWITCH = 0.2


class Listeners:
    """The people of a scenario over time; deterministic for a seed and a start (epoch ms).

    Rows of plays: user (index), session_id, sequence, platform, service, track (index), track_ms, ms_played, reason_end,
    played_at (epoch ms; when listening ended).
    """

    def __init__(self, seed: int, catalogue: Catalogue, people: People, start: int, demand: Demand, habits: Habits) -> None:
        self._demand, self._catalogue, self._people, self._start = demand, catalogue, people, start
        self._rng = np.random.default_rng([seed, 4])
        self._sessions_begun = 0
        self._on_air = take(self._begin(np.full(1, start)), np.zeros(0, np.int64))
        """The play that every session is in the middle of; `played_at` is when it will end."""

    def settle(self, plays_per_ms: float) -> None:
        """Let as many sessions be under way at the start as such a rate of plays means."""
        crowd = self._begin(np.full(4096, self._start))
        average = float(crowd["ms_played"].mean()) + LONGEST_GAP_MS / 2
        under_way = round(plays_per_ms * average)
        sessions = self._begin(np.full(under_way, self._start))
        if under_way:
            # What is on at an instant: met in proportion to its length, and heard to any point of it.
            odds = crowd["ms_played"] / crowd["ms_played"].sum()
            met = self._rng.choice(len(odds), under_way, p=odds)
            for name in ("track", "track_ms", "ms_played", "reason_end"):
                sessions[name] = crowd[name][met]
            sessions["played_at"] = self._start + (self._rng.random(under_way) * sessions["ms_played"]).astype(np.int64)
        self._on_air = sessions

    def plays(self, begin: int, end: int, count: int) -> Columns:
        """Exactly `count` plays that end in [begin, end) (epoch ms), in no order. Call it for consecutive intervals."""
        ended = [self._advance(self._on_air, end)]
        have = height(ended[0])
        while have < count:
            # A new session may end more than one play here: approach the number from below.
            missing = count - have
            new = self._begin(begin + (self._rng.random(-(-missing * 3 // 4)) * (end - begin)).astype(np.int64))
            still_on = self._on_air
            ended.append(self._advance(new, end))
            self._on_air = join([still_on, self._on_air])
            have += height(ended[-1])
        return self._leave(join(ended), have - count)

    def _begin(self, ends: Array) -> Columns:
        """New sessions whose first play ends at these instants."""
        count = len(ends)
        user = self._pick_users(count, int(ends[0]) if count else self._start)
        elsewhere = self._rng.random(count) < _DEVICE_SWITCH
        platform = np.where(elsewhere, pick_platforms(count, self._rng), self._people.favourite[user])
        session_id = self._start * 1000 + self._sessions_begun + np.arange(count)
        self._sessions_begun += count
        session = {
            "user": user,
            "session_id": session_id,
            "sequence": np.zeros(count, np.int64),
            "platform": platform,
            "service": _SERVICE_OF[platform],
        }
        zeros = {
            "look_alike": np.zeros(count, np.int64),
            "offline": np.zeros(count, np.bool_),
            "skew_ms": np.zeros(count, np.int64),
        }
        return session | zeros | self._listen(ends, None, self._people.country[user]) | {"played_at": ends}

    def _pick_users(self, count: int, instant: int) -> Array:
        """Users who aren't listening yet, as far as they can be found in a few tries; else on a second device."""
        users = np.zeros(count, np.int64)
        busy = np.zeros(len(self._people.country), np.bool_)
        if self._sessions_begun:
            busy[self._on_air["user"]] = True
        open_places = np.arange(count)
        for _ in range(4):
            if not len(open_places):
                break
            users[open_places] = drawn = self._people.pick(len(open_places), instant, self._rng)
            first = np.zeros(len(drawn), np.bool_)
            first[np.unique(drawn, return_index=True)[1]] = True
            free = first & ~busy[drawn]
            busy[drawn] = True
            open_places = open_places[~free]
        return users

    def _listen(self, ends: Array, began: Array | None, country: Array) -> Columns:
        """Tracks and how far they are heard; `began` None: the plays end at `ends` and began accordingly."""
        count = len(ends)
        track = pick_tracks(self._catalogue, count, self._rng)
        heard = listen(self._catalogue.track_ms[track], self._rng)
        for number, hit in enumerate(self._demand.hits):
            released = hit.first_track + (hit.tracks * self._rng.random(count) ** 1.5).astype(np.int64)
            released_heard = listen(self._catalogue.track_ms[released], self._rng)
            start = ends - released_heard["ms_played"] if began is None else began
            out = self._rng.random(count) < self._demand.shares(start - self._start, country)[number]
            heard = {name: np.where(out, released_heard[name], heard[name]) for name in heard}
            track = np.where(out, released, track)
        return {"track": track, "track_ms": self._catalogue.track_ms[track], **heard}

    def _advance(self, sessions: Columns, end: int) -> Columns:
        """The plays that end before `end`; sessions that go on stay on air."""
        ended, on_air = [take(sessions, np.zeros(0, np.int64))], []
        while height(sessions):
            over = sessions["played_at"] < end
            on_air.append(take(sessions, ~over))
            ended.append(take(sessions, over))
            sessions = self._next(ended[-1])
        self._on_air = join([take(ended[0], np.zeros(0, np.int64)), *on_air])
        return join(ended)

    def _next(self, ended: Columns) -> Columns:
        session = take(ended, self._rng.random(height(ended)) < GOES_ON)
        began = session["played_at"] + self._rng.integers(100, LONGEST_GAP_MS, height(session))
        session |= self._listen(began, began, self._people.country[session["user"]])
        return session | {"sequence": session["sequence"] + 1, "played_at": began + session["ms_played"]}

    def _leave(self, plays: Columns, surplus: int) -> Columns:
        """The plays without `surplus` of them: so many listeners left one track earlier."""
        while surplus > 0:
            order = np.lexsort((plays["sequence"], plays["session_id"]))
            sessions = plays["session_id"][order]
            last = order[np.append(sessions[1:] != sessions[:-1], True)]
            gone = self._rng.choice(last, min(surplus, len(last)), replace=False)
            on_air = ~np.isin(self._on_air["session_id"], plays["session_id"][gone])
            self._on_air = take(self._on_air, on_air)
            stays = np.ones(height(plays), np.bool_)
            stays[gone] = False
            plays = take(plays, stays)
            surplus -= len(gone)
        return plays
