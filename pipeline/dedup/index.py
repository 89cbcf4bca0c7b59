"""An open-addressing hash index, probed a batch at a time: 128-bit key → where the number of its entry stands.

A key is two unsigned 64-bit halves. A bucket is 40 bytes: eight tags (seven bits of the hash, zero where the place is free),
then eight numbers. So a look at eight bytes nearly always says whether the key is there, and what follows is near. No place
is ever given up: a bucket fills from its first place on, and a key stands in its own bucket or, where that is full, in the
next one with room.
"""

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.uint64]
Longs = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Lanes = npt.NDArray[np.uint8]
"""Which of its bucket's places, 0 to 7, a row means, or 8: all are taken."""

LANES = 8
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64's
_EACH = np.uint64(0x0101010101010101)
_TAKEN, _BELOW = np.uint64(0x80) * _EACH, np.uint64(0x7F) * _EACH
_HALF, _THIRD, _ONE = np.uint64(32), np.uint64(29), np.uint64(1)


class Index:
    """Places for numbers below 2^32, a power of two of them.

    A bucket is meant by its first word's index in `words`, a place by its number's in `numbers`.
    """

    def __init__(self, places: int) -> None:
        buckets = places // LANES
        self.places = places
        self.taken = 0
        self.words = np.zeros(5 * buckets, np.uint64)
        self.tags = self.words.view(np.uint8)
        self.numbers = self.words.view(np.uint32)[2:]
        self._shift = np.uint64(65 - buckets.bit_length())

    def home(self, head: Halves, tail: Halves) -> tuple[Rows, Halves]:
        """The bucket of each key, and its tag, eight times over."""
        mixed = tail * _MIX_1
        mixed ^= head
        mixed ^= mixed >> _HALF
        mixed *= _MIX_2
        mixed ^= mixed >> _THIRD
        mixed *= _MIX_1
        tag = (mixed.view(np.uint8)[3::8] | np.uint8(0x80)) * _EACH
        mixed >>= self._shift
        bucket = mixed.view(np.int64)
        bucket *= 5
        return bucket, tag

    def look(self, bucket: Rows, tag: Halves) -> tuple[Halves, Lanes]:
        """A bit for each place of the bucket that has this tag, for `first`; and the first free place."""
        word = self.words.take(bucket)
        taken = word & _TAKEN
        # Tags of taken places have their high bit, as the one sought has: where the other bits don't differ it is there.
        word ^= tag
        word += _BELOW
        word &= taken
        word ^= taken
        return word, np.bitwise_count(taken)

    def first(self, alike: Halves) -> tuple[Halves, Lanes]:
        """The first place of each, as a bit and as a number."""
        bit = alike & -alike
        return bit, np.bitwise_count(bit - _ONE) >> np.uint8(3)

    def next(self, bucket: Rows) -> Rows:
        """The buckets after these."""
        return (bucket + 5) % np.int64(len(self.words))

    def claim(self, at: Rows, lane: Lanes, tag: Halves, numbers: npt.NDArray[np.uint32]) -> Rows:
        """Put numbers into free places; of several for one place the last wins. Which rows did."""
        self.numbers[at] = numbers  # of repeated places the last assignment stays
        won = np.flatnonzero(self.numbers[at] == numbers)
        # Place p of bucket b: byte 40 b + p for the tag, number 10 b + p.
        self.tags[4 * at[won] - 3 * lane[won]] = tag.view(np.uint8)[::8][won]
        self.taken += len(won)
        return won

    def insert(self, head: Halves, tail: Halves, numbers: Longs) -> None:
        """Numbers of keys that aren't in the index."""
        bucket, tag = self.home(head, tail)
        narrow = numbers.astype(np.uint32)
        while len(narrow):
            _, lane = self.look(bucket, tag)
            left, free = np.ones(len(lane), np.bool_), np.flatnonzero(lane < LANES)
            won = self.claim((2 * bucket + lane)[free], lane[free], tag[free], narrow[free])
            left[free[won]] = False
            full = np.flatnonzero(lane == LANES)
            bucket[full] = self.next(bucket[full])
            rows = np.flatnonzero(left)
            narrow, bucket, tag = narrow[rows], bucket[rows], tag[rows]
