"""The performance of a script: its records to the broker in their order, with ticks between and a ledger beside.

step of the script ─► ledger (unknown) ─► events up to the pane's end ─► flush ─► tick ─► … ─► ledger (answered)
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from producers.columns import Array, Columns, height
from producers.encode import encode_columns, encode_keys
from producers.faults.poison import corrupt
from producers.interrupt import Interrupt
from producers.ledger import Answers, Ledger
from producers.progress import ProgressBar
from producers.publish.events import EventPublisher, Outgoing
from producers.publish.pace import Pace
from producers.publish.ticks import Ticker

WAIT_SECONDS = 0.02
SLICE = 5_000
"""At most so many events between two looks at the pace and the progress bar."""
LAST_WORDS_SECONDS = 10.0
"""How long the broker may still answer after an interruption."""


class Performance:
    """Publishes steps of a script one after the other; the clock is the scenario's."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        pace: Pace,
        bar: ProgressBar,
        interrupt: Interrupt,
        start: int,
        schema_id: int,
    ) -> None:
        self._schema_id, self._partitions = schema_id, settings.partitions
        self._pane_ms = settings.rules.pane_ms
        self._ledger, self._pace, self._bar, self._interrupt = ledger, pace, bar, interrupt
        self._publisher, self._ticker = EventPublisher(settings, interrupt), Ticker(settings, interrupt)
        self._ticked = start // self._pane_ms * self._pane_ms

    def run(self, steps: Iterable[Columns], end: int) -> None:
        """Publish all steps and tick every pane's end up to `end` (epoch ms). Raises UnavailableError."""
        for rows in steps:
            if not height(rows):
                continue
            answers = self._ledger.begin(rows)
            try:
                self._publish(rows, answers)
                self._publisher.flush()
            except BaseException:
                # Ctrl-C or a broker that is gone: what is still answered soon is known, the rest stays unknown.
                self._last_words()
                raise
            finally:
                self._ledger.end(rows, answers)
        self.tick_until(end)
        self._ledger.requests_retried = self._publisher.requests_retried()

    def tick_until(self, clock: int) -> None:
        """Tick the pane ends up to this instant that haven't been, each when the pace has reached it."""
        while self._ticked + self._pane_ms <= clock:
            self._interrupt.check()
            self._ticked += self._pane_ms
            while not self._pace.reached(self._ticked):
                self._publisher.serve(WAIT_SECONDS)
            self._publisher.flush()
            self._ticker.tick(self._ticked)

    def close(self, clock: int) -> None:
        """One tick of this instant, behind everything."""
        self._ticker.tick(clock)

    def _publish(self, rows: Columns, answers: Answers) -> None:
        """One step's rows: pane by pane, and the tick of each pane that is over before the rows go on."""
        sent_at = rows["true_sent_at"]
        outgoing = self._encoded(rows)
        for first, past in _panes(sent_at, self._pane_ms):
            self.tick_until(int(sent_at[first]))
            while first < past:
                count = self._pace.due(sent_at[first : min(first + SLICE, past)])
                if not count:
                    self._publisher.serve(WAIT_SECONDS)
                    continue
                self._publisher.send(outgoing, count, answers)
                first += count
                self._bar.advance(count, int(sent_at[first - 1]))

    def _encoded(self, rows: Columns) -> Outgoing:
        buffer, bounds = encode_columns(rows, schema_id=self._schema_id)
        keys = encode_keys(rows["user_id"])
        values: list[bytes | None] = [buffer[begin:end] for begin, end in pairwise(bounds)]
        partitions = corrupt(rows["poison"], keys, values, self._partitions)
        return Outgoing(keys, values, partitions, rows["true_sent_at"].tolist())

    def _last_words(self) -> None:
        try:
            self._publisher.flush(LAST_WORDS_SECONDS)
        except ListeningError:
            return


def _panes(sent_at: Array, pane_ms: int) -> list[tuple[int, int]]:
    """The rows (first, past the last) of each pane that has any; `sent_at` (when they leave) is in order and not empty."""
    cuts = np.flatnonzero(np.diff(sent_at // pane_ms)) + 1
    bounds = [0, *cuts.tolist(), len(sent_at)]
    return list(pairwise(bounds))
