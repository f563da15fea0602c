"""What version 1 wrote is read and goes on; what a newer version wrote is refused."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents_emitter import events
from streams import topics
from streams.app.blob import choose
from streams.app.metrics import MetricsPartition
from streams.domain.source import Source, SourceLog
from streams.domain.window import decode_window_batch
from streams.errors import StateVersionError
from streams.window.operator import WindowSpec
from streams.window.rollup import Span
from tests.wiring.line import Line, Record

SECOND = 10**9
BASE = 1_700_000_000 * SECOND
GOLDEN = Path(__file__).parents[1] / "golden" / "state_v1.json"
SPEC = WindowSpec(pane_ns=SECOND, spans=(Span(5 * SECOND, 5 * SECOND),), lateness_ns=SECOND)


def recorded() -> dict[str, Any]:
    """A source log, and what version 1 had written when it had read all of it."""
    return orjson.loads(GOLDEN.read_bytes())  # type: ignore[no-any-return]


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def state_of(body: dict[str, Any], upto: int) -> dict[str, bytes]:
    """The first records of the state topic."""
    state: dict[str, bytes] = {}
    for raw, value in body["state"][:upto]:
        key, found = b64decode(raw).decode(), bytes_of(value)
        if found is None:
            state.pop(key, None)
        else:
            state[key] = choose(key, state[key], found) if key in state else found
    return state


def part() -> MetricsPartition:
    return MetricsPartition(topics.METRICS, 0, SPEC, snapshot_every=3)


def contents(line: Line) -> dict[bytes, dict[str, Any]]:
    """Windows by key; quantiles to nine digits, for the last ones are the processor's (its logarithm)."""
    found: dict[bytes, dict[str, Any]] = {}
    for record in line.topics[topics.WINDOWS]:
        if record.key is not None and record.value is not None:
            quantiles = [f"{value:.9g}" for value in decode_window_batch(record.value).quantiles.flat]
            window = {**orjson.loads(record.value), "quantiles": quantiles}
            assert found.setdefault(record.key, window) == window, record.key
    return found


def test_version_1_goes_on_as_if_nothing_had_been() -> None:
    body = recorded()
    log = [Record(bytes_of(value), offset, stamp, b"k") for offset, (stamp, value) in enumerate(body["log"])]
    calm = Line(log, part)
    calm.run(iter([len(log)]), 0)
    assert isinstance(calm.part, MetricsPartition)
    cores = [i for i, (key, _) in enumerate(body["state"]) if b"checkpoint" in b64decode(key)]
    for upto in {i + 1 for i in cores} | {len(body["state"])}:
        line = Line(log, part)
        for key, value in body["state"][:upto]:
            state = line.topics[topics.STATE]
            state.append(Record(bytes_of(value), len(state), 0, b64decode(key), 0, topics.STATE))
        for key, value in body["windows"]:
            windows = line.topics[topics.WINDOWS]
            windows.append(Record(bytes_of(value), len(windows), 0, bytes_of(key), 0, topics.WINDOWS))
        line.run(iter([5] * len(log)), 0)
        now = line.part
        assert isinstance(now, MetricsPartition)
        assert now.operator.fates == calm.part.operator.fates
        assert now.operator.fates.snapshot() == body["fates"]
        assert now.fold.snapshot() == calm.part.fold.snapshot()
        assert contents(line) == contents(calm)
        assert now.source == Source("first", 0, 1)


def test_what_version_1_wrote_is_deleted_when_version_2_has_written() -> None:
    body = recorded()
    old = part()
    state = state_of(body, len(body["state"]))
    restored = old.restore(state, SourceLog("id", 1, 0, len(body["log"])))
    assert restored.offset is not None
    tick = Record(events.encode_tick(BASE + 60 * SECOND), len(body["log"]), 2 * 10**12)
    (step,) = old.process([tick], 0)
    for output in step.checkpoint:
        key = (output.key or b"").decode()
        if output.value is None:
            state.pop(key, None)
        else:
            state[key] = output.value
    cores = {key: orjson.loads(value) for key, value in state.items() if key.endswith("/core")}
    assert {core["v"] for core in cores.values()} == {2}
    assert {core["source"]["epoch"] for core in cores.values()} == {"id"}
    assert [key for key in state if "/series/" in key] == [f"window/agents.metrics/0/series/{old._core.writer}.0/0"]
    again = part()
    again.restore(state, SourceLog("id", 1, 0, len(body["log"]) + 1))
    assert again.operator.fates == old.operator.fates


def test_a_newer_version_is_refused() -> None:
    body = recorded()
    state = state_of(body, len(body["state"]))
    log = SourceLog("id", 1, 0, len(body["log"]))
    for key in [key for key in state if key.endswith("/core")]:
        newer = {**state, key: orjson.dumps({**orjson.loads(state[key]), "v": 99})}
        with pytest.raises(StateVersionError, match=r"has format 99, this version reads up to 2; nothing was written"):
            part().restore(newer, log)
