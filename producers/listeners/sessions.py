"""Sessions: listeners who play track after track. A step gives exactly as many plays as it is asked for.

session begins ─► plays ─► another track? ─► plays ─► …
Sessions go on with the same probability after every track. So those that are under way when the scenario begins look like
new ones (but for the track that is on: a long one is the likelier to be met), and no warming up is needed.
"""

import numpy as np

from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns, height, join, take
from producers.listeners.demand import Demand, Habits
from producers.listeners.habits import ON_REPEAT, put_on_repeat, share_accounts
from producers.listeners.people import SERVICE_OF, People, clock_skews, pick_platforms
from producers.listeners.rhythm import FIRST_PLAY_MS, SESSION_AGE_MS
from producers.listeners.tracks import choose

GOES_ON = 7 / 8
"""Probability of another track after each: sessions of eight tracks on average."""
LONGEST_GAP_MS = 2_000
_DEVICE_SWITCH = 0.2
_TRIES = 32
"""Draws of a first play that fits into the time since the start; in the very first instants hardly any does."""
_PLAY = ("look_alike", "track", "track_ms", "ms_played", "reason_end")


class Listeners:
    """The people of a scenario over time; deterministic for a seed and a start (epoch ms).

    Rows of plays: user (index), session_id, sequence, platform, service, track (index), track_ms, ms_played, reason_end,
    played_at (epoch ms; when listening ended), look_alike (index into LOOK_ALIKES), offline (the listener has no
    connection), skew_ms (how far the client's clock is ahead; played_at is true time).
    """

    def __init__(self, seed: int, catalogue: Catalogue, people: People, start: int, demand: Demand, habits: Habits) -> None:
        self._catalogue, self._people, self._start = catalogue, people, start
        self._demand, self._habits = demand, habits
        # Habits draw from a stream of their own.
        self._rng, self._habits_rng = np.random.default_rng([seed, 4]), np.random.default_rng([seed, 7])
        self._skews = clock_skews(len(people.country), seed, habits)
        self._sessions_begun = 0
        self._on_air: Columns = {}
        """The play that every session is in the middle of; `played_at` is when it will end."""
        self.settle(0)

    def settle(self, plays_per_ms: float) -> None:
        """Let as many sessions be under way at the start as such a rate of plays means."""
        crowd = self._first_plays(self._sit_down(16_384, self._start), np.full(16_384, self._start))
        under_way = round(plays_per_ms * (float(crowd["ms_played"].mean()) + LONGEST_GAP_MS / 2))
        self._on_air = {}
        sessions = self._sit_down(under_way, self._start - SESSION_AGE_MS)
        sessions |= {name: np.zeros(under_way, np.int64) for name in (*_PLAY, "played_at")}
        # What is on at an instant: met in proportion to its length, and heard to any point of it.
        left, longest = np.arange(under_way), int(self._catalogue.track_ms.max())
        while len(left):
            plays = self._first_plays(take(sessions, left), np.full(len(left), self._start))
            met = self._rng.random(len(left)) * longest < plays["ms_played"]
            for name in _PLAY:
                sessions[name][left[met]] = plays[name][met]
            left = left[~met]
        sessions["played_at"] = self._start + (self._rng.random(under_way) * sessions["ms_played"]).astype(np.int64)
        self._on_air = sessions

    def plays(self, begin: int, end: int, count: int) -> Columns:
        """Exactly `count` plays that end in [begin, end) (epoch ms), in no order. Call it for consecutive intervals."""
        ended, self._on_air = self._only(count, *self._advance(self._on_air, end))
        missing = count - height(ended)
        if missing:
            # Each of so many new sessions ends a play here, or more than one.
            new, on_air = self._only(missing, *self._advance(self._begin(missing, begin, end, ended), end))
            ended, self._on_air = join([ended, new]), join([self._on_air, on_air])
        skew = np.zeros(count, np.int64) if self._skews is None else self._skews[ended["user"]]
        return ended | {"skew_ms": skew}

    def _begin(self, count: int, begin: int, end: int, plays: Columns) -> Columns:
        """New sessions whose first play ends in [begin, end); `plays` of others end there too."""
        middle = (begin + end) // 2
        sessions = self._sit_down(count, middle - FIRST_PLAY_MS, self._demand.load(middle - self._start))
        sessions |= self._ending_within(sessions, begin, end)
        left = np.arange(count)
        for _ in range(_TRIES):
            # What began before the start was under way then, and is on air already.
            left = left[(sessions["played_at"] - sessions["ms_played"])[left] < self._start]
            if not len(left):
                break
            for name, values in self._ending_within(take(sessions, left), begin, end).items():
                sessions[name][left] = values
        if self._habits.shared_accounts:
            second = self._habits_rng.random(count) * (1 - self._habits.on_repeat) < self._habits.shared_accounts
            rows = np.flatnonzero(second & (sessions["look_alike"] == 0))
            share_accounts(sessions, rows, plays, end, self._habits_rng)
        return sessions

    def _ending_within(self, sessions: Columns, begin: int, end: int) -> Columns:
        ends = begin + (self._rng.random(height(sessions)) * (end - begin)).astype(np.int64)
        return self._first_plays(sessions, ends) | {"played_at": ends}

    def _sit_down(self, count: int, instant: int, load: Array | None = None) -> Columns:
        """New sessions that begin at about this instant, before anything is played."""
        user = self._pick_users(count, instant, load)
        elsewhere = self._rng.random(count) < _DEVICE_SWITCH
        platform = np.where(elsewhere, pick_platforms(count, self._rng), self._people.favourite[user])
        session_id = self._start * 1000 + self._sessions_begun + np.arange(count)
        self._sessions_begun += count
        return {
            "user": user,
            "session_id": session_id,
            "sequence": np.zeros(count, np.int64),
            "platform": platform,
            "service": SERVICE_OF[platform],
            "offline": self._habits_rng.random(count) < self._habits.offline,
        }

    def _pick_users(self, count: int, instant: int, load: Array | None) -> Array:
        """Users who aren't listening yet, as far as they can be found in a few tries; else on a second device."""
        country = self._people.pick_countries(count, instant, self._rng, load)
        users = np.zeros(count, np.int64)
        busy = np.zeros(len(self._people.country), np.bool_)
        if self._on_air:
            busy[self._on_air["user"]] = True
        open_places = np.arange(count)
        for _ in range(4):
            if not len(open_places):
                break
            # Elsewhere in the same country: where many listen already, no fewer sit down.
            users[open_places] = drawn = self._people.of(country[open_places], self._rng)
            first = np.zeros(len(drawn), np.bool_)
            first[np.unique(drawn, return_index=True)[1]] = True
            free = first & ~busy[drawn]
            busy[drawn] = True
            open_places = open_places[~free]
        return users

    def _first_plays(self, sessions: Columns, ends: Array) -> Columns:
        """What these sessions play first, so that it ends at these instants."""
        country = self._people.country[sessions["user"]]
        plays = choose(self._catalogue, self._demand, ends - self._start, country, self._rng, ending=True)
        plays["look_alike"] = np.zeros(len(ends), np.int64)
        if self._habits.on_repeat:
            rows = np.flatnonzero(self._habits_rng.random(len(ends)) < self._habits.on_repeat)
            put_on_repeat(plays, rows, self._catalogue, self._habits_rng)
        return plays

    def _advance(self, sessions: Columns, end: int) -> tuple[Columns, Columns]:
        """The plays that end before `end`, and the sessions that go on."""
        ended: list[Columns] = []
        on_air: list[Columns] = []
        while height(sessions) or not ended:
            over = sessions["played_at"] < end
            on_air.append(take(sessions, ~over))
            ended.append(take(sessions, over))
            sessions = self._next(ended[-1])
        return join(ended), join(on_air)

    def _next(self, ended: Columns) -> Columns:
        """Sessions that go on after these plays, with what they play then."""
        session = take(ended, self._rng.random(height(ended)) < GOES_ON)
        began = session["played_at"] + self._rng.integers(100, LONGEST_GAP_MS, height(session))
        country = self._people.country[session["user"]]
        play = choose(self._catalogue, self._demand, began - self._start, country, self._rng)
        if self._habits.on_repeat:
            same_song = session["look_alike"] == ON_REPEAT
            play = {name: np.where(same_song, session[name], values) for name, values in play.items()}
        return session | play | {"sequence": session["sequence"] + 1, "played_at": began + play["ms_played"]}

    def _only(self, count: int, plays: Columns, on_air: Columns) -> tuple[Columns, Columns]:
        """`count` of the plays at most, and who is still on air: the others stopped listening before.

        Whole sessions, drawn without regard to what they played, and one in part.
        """
        if height(plays) <= count:
            return plays, on_air
        sessions, first, of = np.unique(plays["session_id"], return_index=True, return_inverse=True)
        theirs = np.bincount(of)
        order = self._rng.permutation(len(sessions))
        together = np.cumsum(theirs[order])
        whole = int(np.searchsorted(together, count, side="right"))
        kept = np.zeros(len(sessions), np.int64)
        kept[order[:whole]] = theirs[order[:whole]]
        kept[order[whole]] = count - together[whole] + theirs[order[whole]]
        # `first` is a session's earliest play here: they are made one after another.
        stays = plays["sequence"] - plays["sequence"][first][of] < kept[of]
        left = np.isin(on_air["session_id"], sessions[kept < theirs])
        return take(plays, stays), take(on_air, ~left)
