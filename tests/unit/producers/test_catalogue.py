"""The catalogue: names that nobody bears, popularity as Zipf has it, an album that isn't out yet."""

import numpy as np

from producers.catalogue.artists import build_catalogue
from producers.catalogue.names import LONGEST, invented_names
from producers.listeners.tracks import pick_tracks


def test_every_artist_has_a_name_of_its_own_that_fits_a_column() -> None:
    names = invented_names(20_000, seed=1)
    assert len(set(names)) == 20_000
    assert max(map(len, names)) <= LONGEST
    assert all(name.isprintable() and name[0].isupper() and name == name.strip() for name in names)


def test_a_longer_list_of_names_begins_like_a_shorter_one() -> None:
    assert invented_names(5_000, seed=3)[:100] == invented_names(100, seed=3)
    assert invented_names(100, seed=3) != invented_names(100, seed=4)


def test_popularity_falls_with_rank_to_the_power_of_0_92() -> None:
    catalogue = build_catalogue(1_000, seed=5)
    share = [rank**-0.92 for rank in range(1, 1_001)]
    expected = np.cumsum(share) / sum(share)
    np.testing.assert_allclose(catalogue.popularity, expected)


def test_plays_fall_with_rank_as_popularity_says() -> None:
    catalogue = build_catalogue(2_000, seed=6)
    tracks = pick_tracks(catalogue, 400_000, np.random.default_rng(6))
    ranks = np.searchsorted(catalogue.first_track, tracks, side="right") - 1
    plays = np.bincount(ranks, minlength=2_000)
    slope, _ = np.polyfit(np.log(np.arange(1, 101)), np.log(plays[:100]), 1)
    assert -0.97 < slope < -0.87


def test_ids_are_a_permutation_and_say_nothing_about_popularity() -> None:
    ids = build_catalogue(1_000, seed=7).artist_ids
    assert sorted(ids.tolist()) == list(range(1, 1_001))
    assert abs(np.corrcoef(np.arange(1_000), ids)[0, 1]) < 0.15


def test_every_artist_has_tracks_and_an_album_belongs_to_one_artist() -> None:
    catalogue = build_catalogue(500, seed=8)
    counts = np.diff(catalogue.first_track)
    assert counts.min() >= 3
    owners = np.repeat(np.arange(500), counts)
    albums = catalogue.album_ids[: len(owners)]
    pairs = {(album, owner) for album, owner in zip(albums.tolist(), owners.tolist(), strict=True) if album}
    assert len(pairs) == len({album for album, _ in pairs})
    assert np.delete(catalogue.track_ms, catalogue.short_tracks).min() >= 75_000


def test_the_release_is_a_new_album_of_an_artist_who_was_modest_until_then() -> None:
    for seed in range(4):
        catalogue = build_catalogue(20_000, seed=seed)
        release = catalogue.release
        assert 400 <= release.rank <= 1_000
        assert (release.artist_id, release.name) == (catalogue.artist_ids[release.rank], catalogue.names[release.rank])
        assert release.first_track == catalogue.first_track[-1]
        assert release.first_track + release.tracks == len(catalogue.track_ms) == len(catalogue.album_ids)
        assert release.album_id not in catalogue.album_ids[: release.first_track]
