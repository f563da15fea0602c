"""Keys by number: each once, in the order in which they came, however many there are."""

from __future__ import annotations

import numpy as np

from streams.trace.keys import Keys


def test_a_key_is_named_once_and_in_the_order_of_rows() -> None:
    named: list[tuple[int, ...]] = []

    def name(*key: int) -> tuple[int]:
        named.append(key)
        return (10 * key[0],)

    keys = Keys(2, 1, name)
    assert keys.find(np.array([[3, 1], [2, 1], [3, 1], [3, 2]])).tolist() == [0, 1, 0, 2]
    assert keys.find(np.array([[3, 2], [9, 9]])).tolist() == [2, 3]
    assert keys.find(np.empty((0, 2), np.int64)).tolist() == []
    assert named == [(3, 1), (2, 1), (3, 2), (9, 9)]
    assert keys.values[: len(keys), 0].tolist() == [30, 20, 30, 90]
    keys.clear()
    assert (keys.find(np.array([[9, 9]])).tolist(), len(keys), len(named)) == ([0], 1, 5)


def test_more_keys_than_there_was_room_for_keep_their_numbers_and_values() -> None:
    keys = Keys(1, 1, lambda key: (key + 7,))
    drawn = np.random.default_rng(5).integers(0, 5_000, (20_000, 1))
    numbers = keys.find(drawn)
    assert keys.values[numbers, 0].tolist() == (drawn[:, 0] + 7).tolist()
    assert len(keys) == len(np.unique(drawn)) > 4_000
    assert keys.find(drawn).tolist() == numbers.tolist()
