"""Whether a run can take a scenario."""

from pipeline.errors import Exit, ListeningError
from pipeline.settings import PREFIX, Settings
from producers.kinds import Poison
from producers.scenarios.model import Scenario


class RefusedScenarioError(ListeningError):
    """The run, as it is set up, can't show what the scenario is about; the sentence names the remedy."""

    exit_code = Exit.USAGE


def refuse_unfit(settings: Settings, scenario: Scenario, *, realtime: bool) -> None:
    """Raise RefusedScenarioError for clocks that run ahead in the past, and for poison that one partition can't hold."""
    if scenario.clocks.run_ahead and settings.append_time and not realtime:
        raise RefusedScenarioError(
            f"scenario {scenario.name} has clocks that run ahead, and lies in the past: by the broker's time, which is "
            "now, they would not be ahead, and all honest events late. Begin a run that takes the records' own time as the "
            f"broker's, with {PREFIX}APPEND_TIME=false for it and every command on it, or let it happen now with --realtime."
        )
    if scenario.poison.share and Poison.MISROUTED.label in scenario.poison.kinds and settings.partitions == 1:
        raise RefusedScenarioError(
            f"scenario {scenario.name} has misrouted records, and with {PREFIX}PARTITIONS=1 there is no wrong partition: "
            "set more of them, or leave `misrouted` out of poison.kinds."
        )
