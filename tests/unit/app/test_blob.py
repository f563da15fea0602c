"""Snapshots in the state topic: replaced atomically, whoever wrote last."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.app import blob
from streams.app.blob import BlobWriter, Snapshot, choose
from streams.domain.source import Source
from streams.errors import StateError


def topic(records: list[tuple[bytes, bytes | None]]) -> dict[str, bytes]:
    """What a reader of the log ends up with."""
    state: dict[str, bytes] = {}
    for raw, value in records:
        key = raw.decode()
        if value is None:
            state.pop(key, None)
        else:
            state[key] = choose(key, state[key], value) if key in state else value
    return state


@settings(deadline=None)
@given(values=st.lists(st.binary(max_size=40), min_size=1, max_size=6), cut=st.integers(0, 30))
def test_a_crash_anywhere_leaves_a_whole_snapshot(values: list[bytes], cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blob, "CHUNK_BYTES", 7)
        writer = BlobWriter("k")
        log, whole = [], []
        for applied, value in enumerate(values):
            log += writer.records(Snapshot(applied, value))
            whole.append(len(log))
        cut = min(cut, len(log))
        done = sum(1 for end in whole if end <= cut)
        found = BlobWriter("k").restore(topic(log[:cut]))
        assert found == (Snapshot(done - 1, values[done - 1]) if done else None)


def test_a_worker_that_lost_its_partition_and_writes_last_changes_nothing() -> None:
    zombie, owner = BlobWriter("k"), BlobWriter("k")
    log = list(zombie.records(Snapshot(10, b"ten")))
    owner.restore(topic(log))
    log += owner.records(Snapshot(20, b"twenty"))
    log += owner.records(Snapshot(30, b"thirty"))
    log += zombie.records(Snapshot(12, b"late"))
    log += zombie.records(Snapshot(14, b"later"))
    assert BlobWriter("k").restore(topic(log)) == Snapshot(30, b"thirty")


def test_damage_is_told() -> None:
    records = list(BlobWriter("k", "w").records(Snapshot(1, b"value")))
    state = topic(records)
    chunk = "k/w.1/0"
    for damaged in ({key: value for key, value in state.items() if key != chunk}, {**state, chunk: b"valu?"}):
        with pytest.raises(StateError, match="no snapshot of k is complete"):
            BlobWriter("k").restore(damaged)


def test_series_chunks_only_grow() -> None:
    key = "window/t/0/series/0/0"
    assert choose(key, b"[1,2,3]", b"[1,2]") == b"[1,2,3]"
    assert choose(key, b"[1,2]", b"[1,2,3]") == b"[1,2,3]"


def test_offsets_of_another_log_or_era_do_not_count() -> None:
    """A worker that still has an older log writes last, and with higher offsets."""
    older, owner, between = BlobWriter("k"), BlobWriter("k"), BlobWriter("k")
    log = list(older.records(Snapshot(900, b"older", Source("a"))))
    log += owner.records(Snapshot(3, b"owner", Source("c", era=1)))
    log += older.records(Snapshot(950, b"older", Source("a")))
    log += between.records(Snapshot(400, b"between", Source("b", era=1)))
    assert [s.value for s in BlobWriter("k").snapshots(topic(log), "c")][:2] == [b"owner", b"between"]
    cut = [*log, *owner.records(Snapshot(1, b"cut", Source("c", era=2)))]
    assert BlobWriter("k").restore(topic(cut), "c") == Snapshot(1, b"cut", Source("c", era=2))
    assert BlobWriter("k").restore(topic(log), "d") == Snapshot(400, b"between", Source("b", era=1))
    late = [*cut, *older.records(Snapshot(990, b"older", Source("z", era=7)))]
    assert BlobWriter("k").restore(topic(late), "c") == Snapshot(1, b"cut", Source("c", era=2))
