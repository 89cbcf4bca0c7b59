"""The world of a scenario: who listens, and to what there is."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.rules import Rules
from producers.catalogue.artists import Catalogue, build_catalogue
from producers.columns import Columns
from producers.listeners.people import COUNTRIES, People, build_people
from producers.scenarios.demand import released_at
from producers.scenarios.model import Scenario
from producers.script import rank_of, script


@dataclass(frozen=True, eq=False)
class World:
    """A scenario with the catalogue and the people that follow from it. It can begin at any instant (epoch ms)."""

    scenario: Scenario
    catalogue: Catalogue
    people: People

    def records(self, rules: Rules, start: int) -> Iterator[Columns]:
        """Every record in the order of publication, see `script`."""
        return script(self.scenario, self.catalogue, self.people, rules, start)

    @property
    def hit_artist(self) -> tuple[int, str] | None:
        """Id and name of the artist whom the scenario is about; None where it is about none."""
        if self.scenario.release:
            return self.catalogue.release.artist_id, self.catalogue.release.name
        if self.scenario.viral:
            rank = int(rank_of(self.catalogue, self.catalogue.viral.first_track))
            return int(self.catalogue.artist_ids[rank]), self.catalogue.names[rank]
        return None

    def releases(self, start: int) -> dict[int, list[str]]:
        """Instant of each release that lies in the scenario, in order → its countries (ISO 3166-1 alpha-2)."""
        if not self.scenario.release:
            return {}
        found: dict[int, list[str]] = {}
        for country, since_start in zip(COUNTRIES, released_at(self.scenario).tolist(), strict=True):
            if 0 <= since_start < self.scenario.length_ms:
                found.setdefault(start + since_start, []).append(country)
        return dict(sorted(found.items()))


def build_world(scenario: Scenario) -> World:
    """The world of a scenario and its seed."""
    catalogue = build_catalogue(scenario.artists, scenario.seed, scenario.zipf_exponent)
    return World(scenario, catalogue, build_people(scenario.users, scenario.seed))
