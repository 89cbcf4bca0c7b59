"""When a play is sent: soon, too late for the grace, or when a listener without connection has one again.

Of mobile plays 5-15% arrive over an hour late, 1-3% over a day: a scenario states its own shares.
"""

import numpy as np

from pipeline.rules import Rules
from producers.columns import Array, Columns, height
from producers.scenarios.parts import Lateness

PROMPT_MS = 20_000
"""Most events reach the log within this time after they were played."""
LATEST_MS = 30 * 60_000
"""Late events come at most so long after they were played, but for those without connection."""
SHORTEST_MS, HOUR_MS, DAY_MS, LONGEST_MS = 2 * 60_000, 3_600_000, 24 * 3_600_000, 72 * 3_600_000
UPLOAD_GAP_MS = 50
"""Between two plays of a session that are uploaded together."""


class Sending:
    """Decides for plays when they are sent; remembers sessions without connection. `end`: all is sent before (epoch ms)."""

    def __init__(self, lateness: Lateness, rules: Rules, end: int, seed: int) -> None:
        self._lateness, self._rules, self._end = lateness, rules, end
        self._rng, self._connections = np.random.default_rng([seed, 20]), np.random.default_rng([seed, 21])
        self._sessions = np.zeros(0, np.int64)
        """Sessions without connection, in order."""
        self._back_at = np.zeros(0, np.int64)

    def send(self, plays: Columns) -> Columns:
        """With true_sent_at, and with played_at so early that a copy still finds a later instant before the end."""
        count, rules, rng = height(plays), self._rules, self._rng
        # Played in the very last instants: then it ended those instants earlier.
        played_at = np.minimum(plays["played_at"], self._end - 2)
        time_left = self._end - 2 - played_at
        prompt = rng.random(count) ** 3 * np.clip(time_left, 0, min(PROMPT_MS, rules.grace_ms))
        too_late = rules.grace_ms + 2 * rules.pane_ms  # a tick may lag by a pane
        # Half the horizon at most: a copy of a late event is to be recognised too.
        longest = np.minimum(time_left, min(max(LATEST_MS, 2 * too_late), rules.horizon_ms // 2))
        late = (rng.random(count) < self._lateness.late) & (longest > too_late)
        delay = np.where(late, too_late + rng.random(count) ** 2 * (longest - too_late), prompt).astype(np.int64)
        offline = rng.random(count) < np.where(late, 0.7, 0.004)
        sent_at = played_at + delay
        away = np.flatnonzero(plays["offline"])
        if len(away):
            uploaded = self._upload(plays["session_id"][away], plays["sequence"][away], played_at[away])
            sent_at[away] = np.where(uploaded > played_at[away], uploaded, sent_at[away])
        return plays | {"played_at": played_at, "true_sent_at": sent_at, "offline": offline | plays["offline"]}

    def _upload(self, session: Array, sequence: Array, played_at: Array) -> Array:
        """When each play is uploaded, as far as the connection wasn't back before it was played."""
        order = np.lexsort((sequence, session))
        ids, first = np.unique(session[order], return_index=True)
        is_new = np.append(self._sessions, -1)[np.searchsorted(self._sessions, ids)] != ids
        began = played_at[order][first[is_new]]
        back_at = began + self._away_for(len(began))
        too_far = back_at > self._end - 2
        back_at[too_far] = began[too_far] + (self._connections.random(int(too_far.sum())) * (self._end - 2 - began[too_far]))
        sessions = np.concatenate([self._sessions, ids[is_new]])
        in_order = np.argsort(sessions, kind="stable")
        self._sessions = sessions[in_order]
        self._back_at = np.concatenate([self._back_at, back_at])[in_order]
        back: Array = self._back_at[np.searchsorted(self._sessions, session)]
        uploaded: Array = np.minimum(back + sequence * UPLOAD_GAP_MS, self._end - 2)
        return uploaded

    def _away_for(self, count: int) -> Array:
        """int64[count], ms: log-uniform within the hour, within the day, and beyond, each with its share."""
        over_1_h, over_24_h = (
            share / self._lateness.offline for share in (self._lateness.over_1_h, self._lateness.over_24_h)
        )
        which, how_far = self._connections.random(count), self._connections.random(count)
        low = np.select([which < over_24_h, which < over_1_h], [DAY_MS, HOUR_MS], SHORTEST_MS)
        high = np.select([which < over_24_h, which < over_1_h], [LONGEST_MS, DAY_MS], HOUR_MS)
        away: Array = (low * (high / low) ** how_far).astype(np.int64)
        return away
