"""The functions that users' SQL may call: functions.yaml as sets. Names are compared in lower case."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "functions.yaml"
_SUFFIXES = ("", "OrNull", "OrZero", "OrDefault")


@cache
def _listed() -> dict[str, Any]:
    listed: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return listed


@cache
def plain() -> frozenset[str]:
    """Functions that are called as they are listed: scalars, window functions, and conversions with their suffixes."""
    listed = _listed()
    names = [name for group in listed["scalars"].values() for name in group] + listed["windows"]
    return frozenset(
        name.lower() for name in names + [name + suffix for name in listed["conversions"] for suffix in _SUFFIXES]
    )


@cache
def aggregates() -> frozenset[str]:
    return frozenset(name.lower() for group in _listed()["aggregates"].values() for name in group)


@cache
def tables() -> frozenset[str]:
    """Table functions, which are spelled in one way only."""
    return frozenset(_listed()["tables"])


def is_admitted(name: str) -> bool:
    """Whether users may call this function: a plain one, or an aggregate with any combinators behind it."""
    return name.lower() in plain() or _is_aggregate(name)


def _is_aggregate(name: str) -> bool:
    return name.lower() in aggregates() or any(
        name.endswith(combinator) and _is_aggregate(name.removesuffix(combinator)) for combinator in _listed()["combinators"]
    )
