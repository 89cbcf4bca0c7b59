"""Who leads: the answer of /v1/top-artists."""

from pipeline.api import parameters
from pipeline.api.models import RankedArtist, TopAnswer, instant_or_none
from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.filtered import filtered_top
from pipeline.store.queries import Top, newest_final, top, watermarks
from pipeline.store.window import whole_panes

NONE_YET = "no final list of a window that ends by then has been published yet"


def top_artists(settings: Settings, asked: Asked, wanted: parameters.TopArtists) -> TopAnswer:
    """Raises ListeningError where a published list of another length is wanted, UnavailableError without an engine."""
    seconds = settings.window_seconds if wanted.window is None else wanted.window
    if wanted.published:
        if seconds != settings.window_seconds:
            raise ListeningError(
                f"query.window: published lists are of {settings.window_seconds} s: leave out either window or published"
            )
        list_ = newest_final(settings, wanted.k, wanted.at, asked) or Top(
            [], 0, 0, watermarks(settings, asked).classified, False, NONE_YET
        )
    elif wanted.country or wanted.platform:
        among = {"country": wanted.country, "platform": wanted.platform}
        list_ = filtered_top(settings, wanted.k, seconds, wanted.at, asked=asked, **among)
    else:
        list_ = top(settings, wanted.k, seconds, wanted.at, asked)
    return TopAnswer(
        run=settings.run,
        rows=[RankedArtist(rank=one.rank, artist_id=one.artist_id, name=one.name, plays=one.plays) for one in list_.rows],
        start=instant_or_none(list_.start_ms) if list_.end_ms else None,
        end=instant_or_none(list_.end_ms),
        window_seconds=whole_panes(settings.rules, seconds) // 1000,
        final=list_.final,
        watermark=instant_or_none(list_.watermark_ms),
        source="published" if wanted.published else "plays" if wanted.country or wanted.platform else "panes",
        note=list_.note,
    )
