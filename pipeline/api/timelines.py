"""Plays over time: the answers of /v1/timeline and /v1/artists/{artist_id}/timeline."""

from dataclasses import dataclass

from pipeline.api import parameters
from pipeline.api.models import ArtistTimeline, Point, RunTimeline, instant, instant_or_none
from pipeline.api.parameters import MOST_POINTS
from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.ranked import names_of
from pipeline.store.timeline import first_pane, is_known, timeline
from pipeline.store.watermarks import Watermarks, watermarks
from pipeline.store.window import text, until, whole_panes

POINTS = 120
"""About so many where no step is named."""


class UnknownError(ListeningError):
    """There is no such thing."""


@dataclass(frozen=True, slots=True)
class Steps:
    """[start_ms, end_ms) in whole steps of whole panes, aligned to the epoch as panes are."""

    start_ms: int
    end_ms: int
    step_ms: int
    note: str


def run_timeline(settings: Settings, asked: Asked, wanted: parameters.Timeline) -> RunTimeline:
    """Raises ListeningError where that were too many points, UnavailableError without an engine."""
    known = watermarks(settings, asked)
    steps = steps_of(settings, known, wanted)
    return RunTimeline(
        first=instant_or_none(first_pane(settings, asked)),
        watermark=instant_or_none(known.classified),
        step_seconds=steps.step_ms // 1000,
        points=_points(settings, asked, steps),
        note=steps.note,
    )


def artist_timeline(settings: Settings, asked: Asked, artist_id: int, wanted: parameters.Timeline) -> ArtistTimeline:
    """As `run_timeline`; raises UnknownError for an artist whom nobody played and nobody named."""
    steps = steps_of(settings, watermarks(settings, asked), wanted)
    if not is_known(settings, artist_id, asked):
        raise UnknownError(f"nobody played or named an artist {artist_id} in run {settings.run}")
    return ArtistTimeline(
        artist_id=artist_id,
        name=names_of(settings, asked, [artist_id]).get(artist_id),
        step_seconds=steps.step_ms // 1000,
        points=_points(settings, asked, steps, artist_id),
        note=steps.note,
    )


def steps_of(settings: Settings, known: Watermarks, wanted: parameters.Timeline) -> Steps:
    """What is asked for, rounded down to whole steps, to one at least; by default the last window before the watermark.

    E.g. panes of 10 s, from 8:00:07 to 8:01:13, step 25: steps of 20 s from 8:00:00 to 8:01:00.
    """
    rules = settings.rules
    end = known.classified if wanted.to is None else wanted.to
    if wanted.from_ is not None:
        start, end = wanted.from_, max(end, wanted.from_)
    else:
        start = max(0, end - settings.window_seconds * 1000)
    about = -(-(end - start) // (POINTS * rules.pane_ms)) * rules.pane_ms
    step = whole_panes(rules, wanted.step) if wanted.step else max(about, rules.pane_ms)
    first, last = start - start % step, end - end % step
    if last == first and end > start:
        last += step
    if (last - first) // step > MOST_POINTS:
        least = -(-(end - start) // ((MOST_POINTS - 1) * rules.pane_ms)) * rules.pane_ms
        raise ListeningError(
            f"query.step: {(last - first) // step:,} points are more than {MOST_POINTS:,}: "
            f"choose a step of {least // 1000} s at least, or a shorter span"
        )
    notes = []
    if wanted.step and step != wanted.step * 1000:
        notes.append(f"the step {wanted.step} s was rounded to {step // 1000} s, whole panes of {rules.pane_ms // 1000} s")
    if (wanted.from_ is not None and first != start) or (wanted.to is not None and last != end):
        notes.append(f"the span was rounded to {text(first)} until {text(last)}, whole steps of {step // 1000} s")
    return Steps(first, last, step, "; ".join([*notes, *until(known, last)]))


def _points(settings: Settings, asked: Asked, steps: Steps, artist_id: int | None = None) -> list[Point]:
    found = timeline(settings, steps.start_ms, steps.end_ms, steps.step_ms, artist_id, asked)
    return [Point(start=instant(start), plays=plays) for start, plays in found]
