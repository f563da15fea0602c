"""Agents from closed windows: each window once, figures over the window asked for, who is alive, what is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from streams import topics
from streams.api.agents import schema
from streams.api.agents.query import AgentReader, Asked, Moment
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import Fetched
from streams.domain.series import Series
from streams.domain.window import WindowBatch, encode_window_batch
from tests.unit.gate.windows import series, window

SECOND, PANE = 10**9, 10 * 10**9
Rows = Sequence[tuple[Series, Sequence[float]]]


def of(agent: str, metric: str, *values: float, version: str = "1", **labels: str) -> tuple[Series, Sequence[float]]:
    more = {"agent.id": agent, "agent.type": "planning", "environment": "prod", **labels}
    return series(metric, version, "shop", **more), values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[AgentWriter]:
    made = AgentWriter(path, 10.0)
    yield made
    made.close()


def write(writer: AgentWriter, *batches: WindowBatch) -> None:
    """Records after those that are there."""
    first = writer.offsets().get((topics.WINDOWS, 0), 0)
    writer.write([Fetched(topics.WINDOWS, 0, first + n, 1_000, encode_window_batch(b)) for n, b in enumerate(batches)])


def shown(path: Path, asked: Asked = Asked(), now_ns: int = 0, limit: int = 100) -> list[dict[str, object]]:  # noqa: B008 - frozen
    """All pages joined; now is by default the end of the newest window."""
    reader, found, cursor = AgentReader(path), [], ""
    moment = Moment(now_ns or reader.newest_ns(), 10.0)
    try:
        while True:
            page = reader.page(asked, moment, limit=limit, cursor=cursor)
            found += page.agents
            cursor = page.next_cursor
            if not cursor:
                return found
    finally:
        reader.close()


def test_figures_are_of_the_window_asked_for(path: Path, writer: AgentWriter) -> None:
    write(
        writer,
        window(0, [of("a", "agents.memory", 900.0)]),
        window(30, [of("a", "agents.memory", 100.0, 300.0), of("a", "agents.cpu", 0.5)]),
        window(
            31,
            [
                of("a", "agents.memory", 400.0),
                of("a", "agents.steps", 9.0, outcome="success"),
                of("a", "agents.steps", 1.0, outcome="timeout"),
                of("a", "agents.belief.predictions", 3.0, correct="true"),
                of("a", "agents.belief.predictions", 1.0, correct="false"),
                of("a", "agents.coordination.sessions.active", 2.0, coordination_type="x"),
                of("a", "agents.coordination.sessions.active", 3.0, coordination_type="y"),
            ],
        ),
    )
    (one,) = shown(path)
    assert (one["agent_id"], one["type"], one["service"], one["version"]) == ("a", "planning", "shop", "1")
    assert (one["memory_bytes"], one["cpu_ratio"], one["sessions"]) == (300.0, 0.5, 5.0)
    assert (one["steps"], one["error_ratio"], one["belief_accuracy_ratio"]) == (10.0, 0.1, 0.75)
    assert (one["free_energy"], one["inferences"], one["p95_inference_seconds"]) == (None, 0, None)
    (hour,) = shown(path, Asked(window_seconds=3600))
    assert hour["memory_bytes"] == pytest.approx(500.0)


def test_percentiles_are_of_all_windows_together(path: Path, writer: AgentWriter) -> None:
    rng = np.random.default_rng(1)
    parts = [rng.lognormal(-1, 0.5, 400), rng.lognormal(1, 0.2, 20)]
    rows = [[of("a", "agents.inference.duration", *values)] for values in parts]
    write(writer, *(window(n, row, partition=n) for n, row in enumerate(rows)))
    (one,) = shown(path)
    truth = float(np.quantile(np.concatenate(parts), 0.95))
    assert one["inferences"] == 420
    assert one["p95_inference_seconds"] == pytest.approx(truth, rel=0.04)


def test_a_window_that_comes_twice_counts_once_also_over_a_restart(path: Path, writer: AgentWriter) -> None:
    again = window(3, [of("a", "agents.steps", 7.0)])
    write(writer, again, again)
    writer.close()
    anew = AgentWriter(path, 10.0)
    write(anew, again)
    assert shown(path)[0]["steps"] == 7.0
    assert anew.offsets() == {(topics.WINDOWS, 0): 3}
    anew.close()


def test_totals_are_of_all_agents(path: Path, writer: AgentWriter) -> None:
    steps = [of(a, "agents.steps", n, outcome=o) for a, n, o in (("a", 30.0, "failure"), ("b", 70.0, "success"))]
    write(writer, window(0, [of("c", "agents.heartbeat", 1.0)]))
    write(writer, window(9, [of("a", "agents.memory", 100.0), of("b", "agents.memory", 300.0), *steps]))
    reader = AgentReader(path)
    totals = reader.totals(Moment(10 * PANE, 10.0), 60)
    assert totals.by_status == {"alive": 2, "silent": 1}
    expected = {"active_agents": 2.0, "agent_memory_mean": 200.0, "agent_memory_max": 300.0, "agent_errors": 0.3}
    assert totals.figures == {
        **expected,
        "total_agent_memory": 400.0,
        **dict.fromkeys(("cpu", "free_energy", "belief_accuracy")),
    }
    assert reader.offsets() == [(topics.WINDOWS, 2, 1_000_000_000)]
    reader.close()


def test_who_is_alive(path: Path, writer: AgentWriter) -> None:
    write(
        writer,
        window(0, [of("gone", "agents.heartbeat", 1.0), of("ended", "agents.lifecycle.events", 1.0, event="stop")]),
        window(0, [of("broke", "agents.lifecycle.events", 1.0, event="crash")], partition=1),
        window(0, [of("back", "agents.lifecycle.events", 1.0, event="crash")], partition=2),
        window(2, [of("late", "agents.heartbeat", 1.0)]),
        window(3, [of("back", "agents.lifecycle.events", 1.0, event="restart"), of("here", "agents.heartbeat", 1.0)]),
    )
    expected = {"back": "alive", "broke": "crashed", "ended": "stopped", "gone": "silent", "here": "alive"}
    assert {one["agent_id"]: one["status"] for one in shown(path)} == expected | {"late": "alive"}
    assert [one["agent_id"] for one in shown(path, Asked(status="silent"))] == ["gone"]
    later = {str(one["agent_id"]): one["status"] for one in shown(path, now_ns=4 * PANE + 121 * SECOND)}
    assert later == dict.fromkeys(("back", "gone", "here", "late"), "no_data") | {
        "broke": "crashed",
        "ended": "stopped",
    }


@pytest.mark.parametrize("sort", ["agent_id", "memory_bytes", "last_seen", "error_ratio"])
def test_pages_join_to_the_whole_list(path: Path, writer: AgentWriter, sort: str) -> None:
    write(writer, window(1, [of(f"a{n:02}", "agents.memory", float(n % 4)) for n in range(11)]))
    write(writer, window(1, [of("none", "agents.heartbeat", 1.0)], partition=1))
    whole = [one["agent_id"] for one in shown(path, Asked(sort=sort))]
    assert len(set(whole)) == 12
    assert [one["agent_id"] for one in shown(path, Asked(sort=sort), limit=2)] == whole
    if sort == "memory_bytes":
        assert (whole[:2], whole[-1]) == (["a03", "a07"], "none")
    reader = AgentReader(path)
    for cursor in ("x", "5b5d", "5b2278222c317d", b'["x","y"]'.hex()):
        with pytest.raises(ValueError, match="next_cursor"):
            reader.page(Asked(sort=sort), Moment(0, 10.0), cursor=cursor)
    reader.close()


def test_one_agent_over_time(path: Path, writer: AgentWriter) -> None:
    write(writer, *(window(n, [of("a", "agents.memory", 100.0 * n)]) for n in range(4)))
    write(writer, window(3, [of("a", "agents.steps", 5.0)], partition=1))
    reader = AgentReader(path)
    found = reader.agent("a", Moment(4 * PANE, 10.0), 300)
    assert found is not None
    assert [(pane["start_ns"] // PANE, pane["memory_bytes"]) for pane in found["panes"]] == [
        *((0, 0.0), (1, 100.0), (2, 200.0), (3, 300.0))
    ]
    assert found["panes"][-1]["steps"] == 5.0
    assert reader.agent("b", Moment(0, 10.0), 300) is None
    reader.close()


def test_the_newest_labels_count_and_none_is_lost(path: Path, writer: AgentWriter) -> None:
    write(writer, window(5, [of("a", "m", 1.0, version="2")]), window(4, [of("a", "m", 1.0, version="1")], partition=1))
    write(writer, window(6, [(Series("n", "1", "gauge", (("agent.id", "a"),)), [1.0])]))
    (one,) = shown(path)
    assert (one["version"], one["type"], one["first_seen_ns"], one["last_seen_ns"]) == (
        "2",
        "planning",
        5 * PANE,
        7 * PANE,
    )


def test_what_is_old_or_beyond_the_bound_is_forgotten(
    path: Path, writer: AgentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(writer, window(0, [of("old", "agents.memory", 1.0)]))
    write(writer, *(window(400 + n, [of(f"a{n}", "agents.memory", 1.0)]) for n in range(3)))
    writer.prune(3600, 4_010 * SECOND)
    assert [one["agent_id"] for one in shown(path)] == ["a0", "a1", "a2"]
    monkeypatch.setattr(schema, "MAX_AGENTS", 2)
    writer.prune(3600, 4_010 * SECOND)
    assert [one["agent_id"] for one in shown(path)] == ["a1", "a2"]
    assert writer._db.execute("SELECT DISTINCT agent_id FROM panes").fetchall() == [("a1",), ("a2",)]


def test_what_is_no_window_or_of_another_size_is_counted(writer: AgentWriter) -> None:
    minute = window(0, [of("a", "m", 1.0)])
    minute = WindowBatch(**{**vars(minute), "end_ns": 60 * SECOND})
    write(writer, minute)
    for value in (b"", b"{", b"[]", b'{"schema":"agents.window/1"}', b"null"):
        writer.write([Fetched(topics.WINDOWS, 1, writer.offsets().get((topics.WINDOWS, 1), 0), 1, value)])
    assert (writer.passed, writer.unreadable, writer.written) == (1, 5, 0)
