"""The rules that decide outcomes. One log, one set of rules."""

from dataclasses import dataclass, fields
from typing import Literal

from pipeline.errors import SettingsError

RULES_VERSION = 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What classification depends on, besides the log itself. All times are integer milliseconds.

    Raises SettingsError when built with values that contradict each other.
    """

    partitions: int
    horizon_ms: int
    grace_ms: int
    slot_ms: int
    pane_ms: int
    max_ahead_ms: int
    min_play_ms: int
    plausibility: str
    """Short hash of the plausibility limits in schemas/."""
    near_duplicates: Literal["off", "mark", "drop"] = "off"
    """A play that another service reported already: isn't looked for; counts, and is marked; doesn't count."""
    near_tolerance_ms: int = 60_000
    """How far apart in played_at two services may report one listen."""
    version: int = RULES_VERSION

    def __post_init__(self) -> None:
        for name in ("partitions", "horizon_ms", "grace_ms", "slot_ms", "pane_ms", "min_play_ms"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"the rule {name} must be positive, it is {getattr(self, name)}")
        if self.max_ahead_ms < 0:
            raise SettingsError(f"the rule max_ahead_ms must not be negative, it is {self.max_ahead_ms}")
        if self.horizon_ms < self.grace_ms + self.max_ahead_ms:
            raise SettingsError(
                f"LISTENING_HORIZON_SECONDS ({self.horizon_ms // 1000}) must be at least LISTENING_GRACE_SECONDS "
                f"({self.grace_ms // 1000}) + LISTENING_MAX_AHEAD_SECONDS ({self.max_ahead_ms // 1000}): "
                "a copy that is still in time to count must still be remembered"
            )

        if self.near_duplicates != "off" and not 0 < self.near_tolerance_ms <= self.horizon_ms - self.grace_ms:
            raise SettingsError(
                f"LISTENING_NEAR_TOLERANCE_SECONDS ({self.near_tolerance_ms // 1000}) must be at least 1 and at most "
                f"LISTENING_HORIZON_SECONDS ({self.horizon_ms // 1000}) - LISTENING_GRACE_SECONDS "
                f"({self.grace_ms // 1000}): a worker that restarts reads its log no further back"
            )

    @property
    def near_tolerance(self) -> int | None:
        """In ms; None where near-duplicates aren't looked for."""
        return None if self.near_duplicates == "off" else self.near_tolerance_ms

    def near_since(self, watermark: int) -> int:
        """From which played_at on (epoch ms) an accepted row may have a near-duplicate that isn't late at `watermark`."""
        return watermark - self.grace_ms - self.near_tolerance_ms

    @property
    def fingerprint(self) -> str:
        """A readable identity, `name=value` joined by `;`: two that differ say in what."""
        values = {field.name: str(getattr(self, field.name)) for field in fields(self)}
        tolerance = values.pop("near_tolerance_ms")
        if self.near_duplicates != "off":
            values["near_duplicates"] += f" within {tolerance} ms"
        return ";".join(f"{name}={value}" for name, value in values.items())


def differences(ours: str, theirs: str) -> list[str]:
    """The entries in which two fingerprints differ, as `name: THEIRS in the log, OURS here`."""
    mine = dict(entry.partition("=")[::2] for entry in ours.split(";"))
    other = dict(entry.partition("=")[::2] for entry in theirs.split(";"))
    return [
        f"{name}: {other.get(name, 'absent')} in the log, {mine.get(name, 'absent')} here"
        for name in sorted(mine.keys() | other.keys())
        if mine.get(name) != other.get(name)
    ]
