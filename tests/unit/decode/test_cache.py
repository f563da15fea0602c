"""Bounds of what decode remembers."""

from __future__ import annotations

import numpy as np

from streams.decode import matcher
from streams.decode.cache import Generations
from streams.decode.skeleton import Skeletons
from tests.unit.decode.runs import match


def test_entries_in_use_survive_and_the_others_are_forgotten() -> None:
    cache: Generations[int, str] = Generations(count=10, size_bytes=1_000)
    for i in range(100):
        cache.put(i, str(i), 1)
        assert cache[0] == "0"
        assert cache.total <= 10
    assert cache[99] == "99"
    assert cache[50] is None


def test_bytes_are_bounded_too() -> None:
    cache: Generations[int, str] = Generations(count=1_000, size_bytes=100)
    for i in range(50):
        cache.put(i, "x", 20)
    assert cache.total <= 5
    cache.put(77, "large", 51)
    assert cache[77] is None, "larger than half the bound"


def test_putting_again_does_not_count_twice() -> None:
    cache: Generations[int, str] = Generations(count=1_000, size_bytes=100)
    cache.put(1, "a", 10)
    for _ in range(20):
        cache.put(2, "b", 10)
    assert cache[1] == "a"


def test_clear() -> None:
    cache: Generations[int, str] = Generations()
    cache.put(1, "a", 10)
    cache.clear()
    assert (cache[1], cache.total) == (None, 0)


def event(i: int) -> dict[str, object]:
    return {"name": f"n{i}", "value": 1}


def raw(i: int) -> bytes:
    return b'{"name":"n%d","value":1}' % i


def test_skeletons_are_bounded_and_learned_again() -> None:
    table = Skeletons(count=8)
    for i in range(50):
        table.learn(raw(i), event(i), lambda _, slot=i: slot)  # type: ignore[misc]
        assert 1 <= len(table) <= 8
        assert match(table, raw(i)).target.tolist() == [i]


def test_skeletons_are_bounded_by_bytes() -> None:
    table = Skeletons(count=1_000, size_bytes=100)
    for i in range(50):
        table.learn(raw(i), event(i), lambda _: 1)
    assert len(table) <= 5
    wide = b'{"name":"n","value":1,"labels":{"x":"' + b"y" * 200 + b'"}}'
    table.learn(wide, {"name": "n", "value": 1, "labels": {"x": "y" * 200}}, lambda _: 1)
    assert match(table, wide).value.tolist() == []


def test_many_skeletons_are_told_apart() -> None:
    table = Skeletons(count=5_000)
    for i in range(3_000):
        table.learn(raw(i), event(i), lambda _, slot=i: slot)  # type: ignore[misc]
    found = match(table, *(raw(i) for i in range(3_000)))
    assert found.target.tolist() == list(range(3_000))


def test_skeletons_with_the_same_hash_are_told_apart_by_their_bytes() -> None:
    arena = np.array([1, 2, 1, 3], dtype=np.uint64)
    place = np.zeros((4, 6), dtype=np.int64)
    place[1] = (5, 0, 16, 3, 9, 70)
    place[2] = (5, 2, 16, 3, 9, 80)
    assert [matcher.find_slot(arena[at : at + 2], 16, 3, 9, 5, place, arena) for at in (0, 2)] == [1, 2]
    assert matcher.find_slot(np.array([1, 4], dtype=np.uint64), 16, 3, 9, 5, place, arena) == -1 - 3
    assert matcher.find_slot(arena[:2], 16, 3, 8, 5, place, arena) == -1 - 3


def test_what_is_not_an_exact_skeleton_is_not_learned() -> None:
    table = Skeletons()
    for text, parsed in (
        (b'{"name":"n","labels":{"value":1},"value":2}', {"name": "n", "labels": {"value": 1}, "value": 2}),
        (b'{"name":"n","value":1,"value":2}', {"name": "n", "value": 2}),
        (b'{"name":"n","value":1,"producer":"p","seq":1}', {"name": "n", "value": 1, "producer": "p", "seq": 1}),
    ):
        table.learn(text, parsed, lambda _: 1)
    assert len(table) == 0
