"""The records of a checkpoint: versions, series in chunks, running totals that cannot go on."""

from __future__ import annotations

import orjson
import pytest

from streams.domain.series import Series
from streams.errors import StateError, StateVersionError
from streams.window import checkpoint as module
from streams.window.checkpoint import FORMAT, UPGRADES, SeriesLog, checkpoint, restore
from streams.window.cumulative import CumulativeState, Total
from streams.window.operator import WindowOperator, WindowSpec
from tests.unit.window.logs import Entry, columns

SECOND = 10**9
BASE = 1_700_000_000 * SECOND


def test_every_version_has_its_upgrade() -> None:
    assert set(UPGRADES) == set(range(1, FORMAT))


def test_a_newer_version_is_refused() -> None:
    operator, series = WindowOperator("t", 0, WindowSpec()), SeriesLog("t", 0)
    with pytest.raises(StateVersionError, match=r"state of t/0 has format 3"):
        restore(operator, series, orjson.dumps({"v": FORMAT + 1}), {})


def test_tables_of_version_1_had_a_name_or_none() -> None:
    core = {"v": 1, "generation": 3, "cumulatives": [[5, 1, 1, [2.0], []], [7, 1, 1, [2.0], []]]}
    assert UPGRADES[1](core)["table"] == "3"
    assert UPGRADES[1]({**core, "table": "w.3"})["table"] == "w.3"
    assert UPGRADES[1](core)["ahead"] == [5, 7]


# series in chunks


def rows(*names: str) -> list[Series]:
    return [Series(name, "1", "gauge", (("a", "b"),)) for name in names]


def written(series: SeriesLog, *names: str) -> dict[str, bytes]:
    return {key.decode(): value for key, value in series.write(rows(*names))}


def test_chunks_are_written_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    series = SeriesLog("t", 0, "w")
    assert series.begin(0) == []
    state = written(series, "a", "b", "c")
    assert sorted(state) == ["window/t/0/series/w.0/0", "window/t/0/series/w.0/1"]
    assert written(series, "a", "b", "c") == {}
    more = written(series, "a", "b", "c", "d", "e")
    assert sorted(more) == ["window/t/0/series/w.0/1", "window/t/0/series/w.0/2"]
    state |= more
    crc32 = series.crc32
    assert SeriesLog("t", 0, "x").read(state, "w.0", 5, crc32) == rows("a", "b", "c", "d", "e")
    assert series.begin(0) == []
    assert series.begin(1) == [f"window/t/0/series/w.0/{i}".encode() for i in range(3)]
    assert sorted(written(series, "z")) == ["window/t/0/series/w.1/0"]


def test_each_life_writes_its_own_and_then_deletes_the_others() -> None:
    first, zombie, second = SeriesLog("t", 0, "w"), SeriesLog("t", 0, "z"), SeriesLog("t", 0, "v")
    first.begin(0)
    zombie.begin(0)
    state = written(first, "a", "b") | written(zombie, "b", "a")
    assert second.read(state, "w.0", 2, first.crc32) == rows("a", "b")
    assert second.begin(0) == [b"window/t/0/series/w.0/0", b"window/t/0/series/z.0/0"]
    assert sorted(written(second, "a", "b")) == ["window/t/0/series/v.0/0"]
    assert second.begin(0) == []


def test_rows_that_are_not_those_of_the_core_are_not_taken() -> None:
    one, other = SeriesLog("t", 0, "w"), SeriesLog("t", 0, "w")
    one.begin(0)
    other.begin(0)
    written(one, "a", "b", "c")
    state = written(other, "a", "b", "X")
    with pytest.raises(StateError, match="not those of the checkpoint"):
        SeriesLog("t", 0).read(state, "w.0", 3, one.crc32)
    assert SeriesLog("t", 0).read(state, "w.0", 3, other.crc32) == rows("a", "b", "X")
    assert SeriesLog("t", 0).read(state, "w.0", 3, None) == rows("a", "b", "X")
    with pytest.raises(StateError, match="has 3 of 4 series"):
        SeriesLog("t", 0).read(state, "w.0", 4, other.crc32)


# running totals in a log that does not give again what was applied


def total(seconds: int, value: float) -> Total:
    return Total(BASE + seconds * SECOND, BASE, (value,), {})


def test_a_total_that_was_ahead_of_the_kept_state_becomes_a_baseline() -> None:
    state = CumulativeState()
    for offset, (slot, value) in enumerate([(0, 5.0), (1, 50.0), (0, 7.0), (2, 9.0)]):
        state.increment(slot, total(offset, value), offset)
    state.settle(2)
    assert state.ahead == [0, 2]
    restored = CumulativeState()
    restored.restore(orjson.loads(orjson.dumps(state.snapshot())))
    restored.rebase([0, 2])
    restored.restore(orjson.loads(orjson.dumps(restored.snapshot())))
    found = [
        restored.increment(slot, total(20 + slot, value), slot) for slot, value in ((0, 11.0), (1, 52.0), (2, 30.0))
    ]
    assert [increment.numbers for increment in found if increment] == [(0.0,), (2.0,), (0.0,)]
    later = restored.increment(0, total(40, 15.0), 9)
    assert later is not None
    assert later.numbers == (4.0,)


def test_the_checkpoint_says_which_totals_are_ahead() -> None:
    operator, series = WindowOperator("t", 0, WindowSpec()), SeriesLog("t", 0)
    log = [Entry([("m", BASE, 1.0)], batch=("p", 0)), Entry([("m", BASE + 30 * SECOND, 1.0)], batch=("p", 1))]
    operator.apply(columns(log, 0, operator.table))
    slot = operator.table.slot(Series("c", "1", "counter", ()))
    operator.cumulatives.increment(slot, total(0, 1.0), 0)
    operator.cumulatives.increment(slot, total(30, 2.0), 1)
    core = orjson.loads(checkpoint(operator, series).core)
    assert core["held"] == 1
    assert core["ahead"] == [slot]
