"""Records that go out together as columns over one piece of text, so that nothing is made per record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

Record = tuple[bytes, bytes]


@dataclass(frozen=True, eq=False)
class Bundle(Sequence[Record]):
    """k records in order, each a key and a value.

    Attributes:
        keys: uint8[k, w], all of one width. text: uint8, the values one after the other. ends: int64[k + 1], where each
            begins and ends.
    """

    keys: NDArray[np.uint8]
    text: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """int64[k], bytes of each value."""
        return np.diff(self.ends)

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, i: int) -> Record: ...
    @overload
    def __getitem__(self, i: slice) -> list[Record]: ...
    def __getitem__(self, i: int | slice) -> Record | list[Record]:
        if isinstance(i, slice):
            return [self[place] for place in range(len(self))[i]]
        place = range(len(self))[i]  # raises IndexError, which ends a loop
        return self.keys[place].tobytes(), self.text[self.ends[place] : self.ends[place + 1]].tobytes()

    def with_values(self, values: dict[int, bytes]) -> Bundle:
        """The same with other values at some places."""
        if not values:
            return self
        raw = memoryview(self.text.data)
        kept = [raw[begin:end] for begin, end in pairwise(self.ends.tolist())]
        pieces = [values.get(place, piece) for place, piece in enumerate(kept)]
        ends = np.zeros(len(pieces) + 1, np.int64)
        np.cumsum([len(piece) for piece in pieces], out=ends[1:])
        return Bundle(self.keys, np.frombuffer(bytearray().join(pieces), np.uint8), ends)  # of the type it was before
