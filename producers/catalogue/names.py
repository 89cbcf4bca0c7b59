"""Names of artists who don't exist. Every name holds at least one invented word, so that no real artist is met."""

import numpy as np

_ONSETS = "b br c d dr f fl g gr h j k kl l m n p pr qu r s sh sk sl st t tr v w y z".split()
_VOWELS = "a a a e e e i i o o u ae ai ea ia io ou".split()
_ENDS = "l la n na nd ne r ra ren rin ron s sa th va vel vin x yn".split()
_ADJECTIVES = (
    "Amber Ancient Arctic Ashen Borrowed Bright Broken Copper Coral Crooked Distant Electric Faded Feral Frozen Gentle Gilded "
    "Golden Hidden Hollow Hungry Idle Indigo Ivory Late Little Lonely Lost Lucid Midnight Northern Opal Pale Paper Patient "
    "Quiet Restless Rusty Scarlet Secret Silent Silver Sleepless Slow Southern Sudden Tender Tidal Velvet Violet Wandering Wild"
).split()
_NOUNS = (
    "Afternoons Antennas Archives Avenues Balconies Beacons Bicycles Canals Captains Cartographers Chandeliers Comets Corridors "
    "Cousins Embers Engines Ferries Foxes Gardens Harbours Herons Highways Islands Kites Lanterns Letters Lighthouses Machines "
    "Mirrors Monsoons Mornings Orchards Otters Pilots Postcards Ravens Rivers Rooftops Sailors Satellites Signals Sparrows "
    "Staircases Summers Tailors Telescopes Tides Tigers Valleys Violins Voices Weathers Windows Wolves"
).split()
LONGEST = 32
"""No name has more characters than this."""


def invented_names(count: int, seed: int) -> tuple[str, ...]:
    """`count` different names; the same for the same seed, and the first n of them whatever `count` is."""
    names: dict[str, None] = {}
    rng = np.random.default_rng([seed, 1])
    while len(names) < count:
        # Blocks of one size, so that a longer list begins like a shorter one.
        for draws in rng.random((4096, 12)).tolist():
            name = _name(draws)
            if len(name) <= LONGEST:
                names[name] = None
    return tuple(names)[:count]


def _name(draws: list[float]) -> str:
    """One name of twelve numbers in [0, 1)."""
    pattern, adjective, noun = draws[0], _pick(_ADJECTIVES, draws[1]), _pick(_NOUNS, draws[2])
    first, second = _word(draws[3:8]), _word(draws[7:12])
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
    syllables = _pick(_ONSETS, draws[0]) + _pick(_VOWELS, draws[1]) + _pick(_ONSETS, draws[2]) + _pick(_VOWELS, draws[3])
    return (syllables + _pick(_ENDS, draws[4])).capitalize()


def _pick(words: list[str], draw: float) -> str:
    return words[int(draw * len(words))]
