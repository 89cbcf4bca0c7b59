"""What a call is told: of each item, and of the key's limit."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from producers.gateway.items import Checked, Refused
from producers.gateway.limit import Limit, Verdict
from producers.gateway.publish import Delivery
from producers.ledger import Status

POLICY = "events"
"""Name of the limit in the RateLimit fields."""

Item = dict[str, Any]


class CallRefusedError(Exception):
    """A call that is refused: a problem document's members, and headers."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.headers, self.more = status, title, detail, dict(headers or {}), more


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is answered: JSON. `replayed`: it was answered so before. `verdict`: how the limit stands."""

    status: int
    body: bytes
    replayed: bool = False
    verdict: Verdict | None = None


def refused_items(refused: Sequence[Refused]) -> list[Item]:
    return [
        {
            "index": item.index,
            "status": "refused",
            "event_id": str(item.event_id) if item.event_id else None,
            "errors": [{"field": wrong.field, "why": wrong.why} for wrong in item.errors],
        }
        for item in refused
    ]


def items_of(checked: Checked, delivery: Delivery) -> list[Item]:
    """Every item of the call, in order."""
    items = refused_items(checked.refused)
    for row, (index, event) in enumerate(checked.events.items()):
        status = delivery.status[row]
        item: Item = {"index": index, "status": _STATUS[Status(status)], "event_id": str(event.event_id)}
        if status == Status.ACKNOWLEDGED:
            item |= {"partition": delivery.partition[row], "offset": delivery.offset[row]}
        items.append(item)
    items.sort(key=lambda item: int(item["index"]))
    return items


def accepted(run: str, checked: Checked, delivery: Delivery) -> bytes:
    """The body of the answer where Kafka has every event."""
    body = {
        "run": run,
        "accepted": len(checked.events),
        "refused": len(checked.refused),
        "items": items_of(checked, delivery),
    }
    return json.dumps(body, separators=(",", ":")).encode()


def limit_headers(limit: Limit, verdict: Verdict | None) -> dict[str, str]:
    """RateLimit-Policy and RateLimit as draft-ietf-httpapi-ratelimit-headers has them since -08: the policy's quota `q` of
    quota units `qu` in a window of `w` seconds; what remains, `r`, and in how many seconds all of it is back, `t`."""
    headers = {"RateLimit-Policy": f'"{POLICY}";q={limit.events};qu="{POLICY}";w={seconds(limit.window_ms)}'}
    if verdict is not None:
        headers["RateLimit"] = f'"{POLICY}";r={verdict.remaining};t={seconds(verdict.reset_ms)}'
    return headers


def retry_after(wait_seconds: float) -> Mapping[str, str]:
    return {"Retry-After": str(max(1, math.ceil(wait_seconds)))}


def seconds(milliseconds: int) -> int:
    """Rounded up: a second too early would be in vain."""
    return -(-milliseconds // 1000)


_STATUS = {Status.ACKNOWLEDGED: "accepted", Status.FAILED: "failed", Status.UNKNOWN: "unknown"}
