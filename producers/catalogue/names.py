"""Names of artists who don't exist. Every name holds at least one invented word, so that no real artist is met."""

from functools import cache
from pathlib import Path

import numpy as np
import yaml

LONGEST = 32
"""No name has more characters than this."""


def invented_names(count: int, seed: int) -> tuple[str, ...]:
    """`count` different names; the same for the same seed, and the first n of them whatever `count` is."""
    names: dict[str, None] = {}
    rng = np.random.default_rng([seed, 1])
    while len(names) < count:
        # Blocks of one size, so that a longer list begins like a shorter one.
        for draws in rng.random((4096, 13)).tolist():
            name = _name(draws)
            if len(name) <= LONGEST:
                names[name] = None
    return tuple(names)[:count]


def _name(draws: list[float]) -> str:
    """One name of thirteen numbers in [0, 1)."""
    pattern, adjective, noun = draws[0], _pick("adjectives", draws[1]), _pick("nouns", draws[2])
    first, second = _word(draws[3:8]), _word(draws[8:13])
    if pattern < 0.30:
        return f"{first} {second}"
    if pattern < 0.50:
        return f"{adjective} {first}"
    if pattern < 0.65:
        return f"The {first} {noun}"
    if pattern < 0.80:
        return f"{first} & the {noun}"
    if pattern < 0.90:
        return f"{first} {noun}"
    return first


def _word(draws: list[float]) -> str:
    kinds = ("onsets", "vowels", "onsets", "vowels", "ends")
    return "".join(_pick(kind, draw) for kind, draw in zip(kinds, draws, strict=True)).capitalize()


def _pick(kind: str, draw: float) -> str:
    words = _words()[kind]
    return words[int(draw * len(words))]


@cache
def _words() -> dict[str, list[str]]:
    document: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text())
    return document
