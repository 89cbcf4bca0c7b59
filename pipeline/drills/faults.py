"""The faults of the ClickHouse front: set by a control request, met by every request to the server."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Wanted(BaseModel):
    """What is wrong with the server from now on; all at rest by default. `lose` and `errors` count down to zero."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    away: bool = Field(default=False, description="the port is closed and every connection cut")
    hang: bool = Field(
        default=False, description="requests are taken and not answered until this is switched off, then they are late"
    )
    slow_seconds: float = Field(default=0.0, ge=0, description="how long each insert waits before it is applied")
    lose: int = Field(
        default=0, ge=0, description="so many inserts are applied, then the connection is cut without an answer"
    )
    errors: int = Field(default=0, ge=0, description="so many inserts are answered with `code` and not applied")
    code: int = Field(default=0, ge=0, description="the ClickHouse error code of `errors`")
    says: str = Field(default="ordered by a drill", description="the message of `errors`")
    everything: bool = Field(default=False, description="`errors` holds for every request, not for inserts alone")


@dataclass
class Counted:
    """What the front has done since it began."""

    inserts: int = 0
    """Inserts applied, lost answers included."""
    lost: int = 0
    refused: int = 0
    hung: int = 0
    """Requests that were held back by `hang`."""


class Faults:
    """The faults in force; used by many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = Wanted()
        self._counted = Counted()

    def set(self, changes: Mapping[str, Any]) -> Wanted:
        """Change some; the others stay. Raises pydantic's ValidationError for a fault that doesn't exist."""
        with self._changed:
            self._wanted = Wanted.model_validate(self._wanted.model_dump() | dict(changes))
            self._changed.notify_all()
            return self._wanted

    def told(self) -> dict[str, Any]:
        """Faults and counts, as the control route tells them."""
        with self._changed:
            return self._wanted.model_dump() | {"counted": asdict(self._counted)}

    def hold(self) -> None:
        """Return when the server doesn't hang."""
        with self._changed:
            self._counted.hung += self._wanted.hang
            self._changed.wait_for(lambda: not self._wanted.hang)

    def slow_seconds(self) -> float:
        with self._changed:
            return self._wanted.slow_seconds

    def take_error(self, *, insert: bool) -> tuple[int, str]:
        """The error code and message that this request is to be answered with, 0: none."""
        with self._changed:
            if not self._wanted.errors or not (insert or self._wanted.everything):
                return 0, ""
            self._wanted = self._wanted.model_copy(update={"errors": self._wanted.errors - 1})
            self._counted.refused += 1
            return self._wanted.code, self._wanted.says

    def take_loss(self) -> bool:
        """An insert was applied: whether its answer is to be lost."""
        with self._changed:
            self._counted.inserts += 1
            if not self._wanted.lose:
                return False
            self._wanted = self._wanted.model_copy(update={"lose": self._wanted.lose - 1})
            self._counted.lost += 1
            return True
