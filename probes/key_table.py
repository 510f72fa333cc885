"""A hash table of 64-bit keys that numpy builds and searches a million at a time."""

from typing import Final

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Slots = npt.NDArray[np.int64]

EMPTY: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""Marks a free slot; never a key."""

_MULTIPLIER = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 divided by the golden ratio, made odd
_FOLD = np.uint64(32)


class KeyTable:
    """Open addressing with linear probing: each key has a slot, which says where its values are.

    Args:
        keys: Distinct keys, none of them `EMPTY`.
        per_slot: Slots for each key at least; with two, most searches end at the first slot.

    Attributes:
        slots: The slot of each key, in the order of `keys`.
        size: Number of slots, a power of two.
    """

    def __init__(self, keys: Keys, per_slot: int = 2) -> None:
        # More slots than keys, whatever `per_slot` is: a search ends at a free slot.
        bits = max(4, int(per_slot * keys.size).bit_length())
        self.size = 1 << bits
        self._shift = np.uint64(64 - bits)
        self._table: Keys = np.full(self.size, EMPTY)
        self.slots: Slots = self._first_slots(keys)
        pending = np.arange(keys.size)
        while pending.size:
            slots = self.slots[pending]
            free = self._table[slots] == EMPTY
            # Of several keys for one slot the last one stays; the others go on to the next slot.
            self._table[slots[free]] = keys[pending[free]]
            pending = pending[self._table[slots] != keys[pending]]
            self.slots[pending] = (self.slots[pending] + 1) & (self.size - 1)

    def find(self, keys: Keys) -> Slots:
        """Returns the slot of each key, or -1 where it is not in the table."""
        slots = self._first_slots(keys)
        found = self._table[slots]
        astray = np.flatnonzero(found != keys)
        while astray.size:
            ended = found[astray] == EMPTY
            slots[astray[ended]] = -1
            astray = astray[~ended]
            slots[astray] = (slots[astray] + 1) & (self.size - 1)
            found[astray] = self._table[slots[astray]]
            astray = astray[found[astray] != keys[astray]]
        return slots

    def _first_slots(self, keys: Keys) -> Slots:
        mixed = keys ^ (keys >> _FOLD)
        mixed *= _MULTIPLIER
        mixed >>= self._shift
        return mixed.view(np.int64)
