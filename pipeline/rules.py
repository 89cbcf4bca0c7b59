"""The rules that decide outcomes. One log, one set of rules."""

from dataclasses import dataclass, fields

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
    near_duplicates: str = "off"
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

    @property
    def fingerprint(self) -> str:
        """A readable identity, `name=value` joined by `;`: two that differ say in what."""
        return ";".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


def differences(ours: str, theirs: str) -> list[str]:
    """The entries in which two fingerprints differ, as `name: THEIRS in the log, OURS here`."""
    mine = dict(entry.partition("=")[::2] for entry in ours.split(";"))
    other = dict(entry.partition("=")[::2] for entry in theirs.split(";"))
    return [
        f"{name}: {other.get(name, 'absent')} in the log, {mine.get(name, 'absent')} here"
        for name in sorted(mine.keys() | other.keys())
        if mine.get(name) != other.get(name)
    ]
