"""What can be done next with a run that was copied from another: steps, each with its command."""

from typing import TypeAlias

from pipeline.commands.shared import out
from pipeline.settings import PREFIX, Settings

Steps: TypeAlias = list[tuple[str, str]]
"""(what, the command or nothing), in order."""


def variables_of_copy(new: Settings) -> dict[str, str]:
    """The variables that every command on the copy needs: its partitions, and that its records keep their own time."""
    return {f"{PREFIX}PARTITIONS": str(new.partitions), f"{PREFIX}APPEND_TIME": "false"}


def steps_as_json(steps: Steps) -> list[dict[str, str | None]]:
    return [{"step": step, "command": command or None} for step, command in steps]


def print_steps(steps: Steps) -> None:
    for number, (step, command) in enumerate(steps, start=1):
        out.print(f"  {number}. {step}" + (":" if command else ""))
        if command:
            out.print(f"     {command}", markup=False, soft_wrap=True)
