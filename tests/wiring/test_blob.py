"""Snapshots in the state topic, with writers that die half-way or write after their time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.app import blob
from streams.app.blob import BlobWriter, Snapshot, choose
from streams.errors import StateError

Records = Iterable[tuple[bytes, bytes | None]]


def write(state: dict[str, bytes], records: Records) -> None:
    """As the restore loop reads them back."""
    for raw, value in records:
        key = raw.decode()
        if value is None:
            state.pop(key, None)
        else:
            state[key] = choose(key, state[key], value) if key in state else value


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob, "CHUNK_BYTES", 4)


def snapshot(applied: int) -> Snapshot:
    return Snapshot(applied, f"state as of {applied}".encode() * (1 + applied % 3))


def test_the_last_snapshot_comes_back_and_the_others_are_deleted() -> None:
    state: dict[str, bytes] = {}
    first = BlobWriter("k")
    assert first.restore(state) is None
    for applied in (3, 5, 8):
        write(state, first.records(snapshot(applied)))
    second = BlobWriter("k")
    assert second.restore(state) == snapshot(8)
    write(state, second.records(snapshot(9)))
    assert BlobWriter("k").restore(state) == snapshot(9)
    assert len({key.split("/")[1].split(".")[0] for key in state}) == 1


def test_keys_that_begin_alike_do_not_meet() -> None:
    state: dict[str, bytes] = {}
    write(state, BlobWriter("k/1").records(snapshot(3)))
    write(state, BlobWriter("k/10").records(snapshot(7)))
    assert BlobWriter("k/1").restore(state) == snapshot(3)


def test_a_broken_snapshot_is_passed_over_and_no_whole_one_is_an_error() -> None:
    state: dict[str, bytes] = {}
    writer = BlobWriter("k", "w")
    write(state, writer.records(snapshot(3)))
    write(state, writer.records(snapshot(5)))
    state["k/w.0/1"] = b"????"
    assert BlobWriter("k").restore(state) == snapshot(3)
    del state["k/w.1/0"]
    with pytest.raises(StateError, match="no snapshot of k is complete"):
        BlobWriter("k").restore(state)


@given(lives=st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=4), st.integers(0, 40)), max_size=6))
def test_writers_that_die_anywhere(lives: list[tuple[list[int], int]]) -> None:
    """Offsets need not grow as they did in the life before: runs are cut differently."""
    state: dict[str, bytes] = {}
    for steps, deliveries in lives:
        writer = BlobWriter("k")
        before = writer.restore(state)
        applied = before.applied if before else 0
        written: list[tuple[bytes, bytes | None]] = []
        whole: list[tuple[int, int]] = []
        for step in steps:
            applied += step + 1
            written += writer.records(snapshot(applied))
            core = max(i for i, (_, value) in enumerate(written) if value is not None)
            whole.append((core + 1, applied))
        write(state, written[:deliveries])
        done = [made for needed, made in whole if needed <= deliveries]
        expected = snapshot(done[-1]) if done else before
        assert BlobWriter("k").restore(state) == expected


@given(data=st.data())
def test_two_writers_at_once(data: st.DataObject) -> None:
    """A worker that has lost its partition goes on for a while: the snapshot with the highest offset is whole."""
    state: dict[str, bytes] = {}
    write(state, BlobWriter("k").records(snapshot(1)))
    writers = [BlobWriter("k"), BlobWriter("k")]
    queues: list[list[tuple[bytes, bytes | None]]] = []
    for writer in writers:
        writer.restore(state)
        steps = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
        queues.append([r for i, _ in enumerate(steps) for r in writer.records(snapshot(1 + sum(steps[: i + 1])))])
    while any(queues):
        turn = data.draw(st.integers(0, 1))
        queue = queues[turn] or queues[1 - turn]
        write(state, [queue.pop(0)])
        assert BlobWriter("k").restore(state) is not None
    cores = [value for key, value in state.items() if key.endswith("/core")]
    best = BlobWriter("k").restore(state)
    assert best is not None
    assert best == snapshot(best.applied)
    assert f'"applied":{best.applied},'.encode() == max(
        (core[core.index(b'"applied"') : core.index(b',"chunks"') + 1] for core in cores),
        key=lambda text: int(text[10:-1]),
    )
