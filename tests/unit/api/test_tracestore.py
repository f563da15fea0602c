"""The read model: filters against a brute force, pages, revisions, exactly once, retention, other versions."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from streams.api.tracequery import Filter, Summary, TraceReader
from streams.api.tracewriter import Fetched, Retention, TraceWriter
from streams.domain.trace import TraceRecord, encode_trace
from streams.errors import ServiceUnavailable
from tests.unit.trace.drawing import EPOCH, MS, SECOND, span
from tests.unit.trace.reference import trace_record

FOREVER = Retention(1e9, 1 << 40)


def made(number: int, *, revision: int = 0, spans: int = 2) -> TraceRecord:
    """A trace whose every property follows from its number."""
    trace_id = f"{number + 1:032x}"
    attributes = {"gen_ai.agent.name": f"agent-{number % 5}", "gen_ai.conversation.id": f"talk-{number % 7}"}
    root = span("r", 10 * number, 10 * number + number % 50, trace=trace_id, name=f"run {number % 4}")
    inner = span(
        "c",
        10 * number,
        10 * number + 1,
        "r",
        trace=trace_id,
        service=f"tool-{number % 3}",
        name="execute_tool",
        error="the disk is full" if number % 6 == 0 else "",
        attributes={**attributes, "note": f"word{number % 11}"},
    )
    more = [replace(inner, span_id=f"m{n}") for n in range(spans - 2)]
    if number % 9 == 0:  # its parent was never seen
        more.append(replace(inner, span_id="lost", parent_span_id="f" * 16))
    return trace_record(trace_id, [root, inner, *more], revision=revision)


def fetched(traces: Sequence[TraceRecord], partition: int = 0, first: int = 0) -> list[Fetched]:
    return [Fetched(partition, first + n, encode_trace(t)) for n, t in enumerate(traces)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[TraceWriter]:
    made_writer = TraceWriter(path, "agents.traces")
    yield made_writer
    made_writer.close()


def listed(path: Path, asked: Filter = Filter(), limit: int = 1_000) -> list[Summary]:  # noqa: B008 - frozen
    """All pages joined."""
    reader, found, cursor = TraceReader(path), [], ""
    try:
        while True:
            page = reader.page(asked, limit=limit, cursor=cursor)
            found += page.traces
            cursor = page.next_cursor
            if not cursor:
                return found
    finally:
        reader.close()


CASES: list[tuple[Filter, Callable[[int], bool]]] = [
    (Filter(), lambda _: True),
    (Filter(service="tool-1"), lambda n: n % 3 == 1),
    (Filter(agent="agent-2"), lambda n: n % 5 == 2),
    (Filter(operation="run 3"), lambda n: n % 4 == 3),
    (Filter(conversation="talk-6"), lambda n: n % 7 == 6),
    (Filter(status="error"), lambda n: n % 6 == 0),
    (Filter(status="ok"), lambda n: n % 6 != 0),
    (Filter(min_duration_ns=40 * MS), lambda n: n % 50 >= 40),
    (Filter(since_ns=EPOCH + 1000 * MS, until_ns=EPOCH + 2000 * MS), lambda n: 100 <= n < 200),
    (Filter(text="DISK full"), lambda n: n % 6 == 0),
    (Filter(text='word3 OR "'), lambda _: False),
    (Filter(text="word3"), lambda n: n % 11 == 3),
    (Filter(service="tool-1", agent="agent-2", operation="execute_tool"), lambda n: n % 3 == 1 and n % 5 == 2),
    (Filter(service="tool-0", status="error", text="word4"), lambda n: n % 6 == 0 and n % 11 == 4),
    (Filter(agent="nobody"), lambda _: False),
    (Filter(pattern="orphans"), lambda n: n % 9 == 0),
    (Filter(pattern="orphans", status="error"), lambda n: n % 18 == 0),
    (Filter(pattern="loop"), lambda _: False),
]


@pytest.mark.parametrize("limit", [7, 1_000])
@pytest.mark.parametrize("rare", [1, 2_000])
@pytest.mark.parametrize(("asked", "holds"), CASES)
def test_filters(
    path: Path,
    writer: TraceWriter,
    monkeypatch: pytest.MonkeyPatch,
    asked: Filter,
    holds: Callable[[int], bool],
    limit: int,
    rare: int,
) -> None:
    monkeypatch.setattr("streams.api.tracequery._RARE", rare)
    monkeypatch.setattr("streams.api.tracequery._PORTION", 10)
    numbers = list(range(400))
    random.Random(1).shuffle(numbers)
    writer.write(fetched([made(n) for n in numbers]))
    expected = [f"{n + 1:032x}" for n in sorted(numbers, reverse=True) if holds(n)]
    assert [t.trace_id for t in listed(path, asked, limit)] == expected


def test_a_trace_comes_back_whole_and_its_summary_is_its_root_s(path: Path, writer: TraceWriter) -> None:
    writer.write(fetched([made(49)]))
    reader = TraceReader(path)
    assert reader.trace(f"{50:032x}") == made(49)
    assert reader.trace("ab" * 16) is None
    assert listed(path) == [Summary(f"{50:032x}", "planner", "run 1", EPOCH + 490 * MS, 49 * MS, 2, 0, True)]


def test_a_revision_replaces_and_an_older_record_does_not(path: Path, writer: TraceWriter) -> None:
    newer = made(1, revision=1, spans=5)
    writer.write(fetched([made(1), newer, made(1)]))
    assert TraceReader(path).trace(newer.trace_id) == newer
    assert [t.span_count for t in listed(path, Filter(agent="agent-1"))] == [5]
    assert (writer.written, writer.outdated) == (2, 1)


def test_records_that_are_in_already_are_passed_over(path: Path, writer: TraceWriter) -> None:
    records = fetched([made(n) for n in range(5)])
    writer.write(records[:3])
    writer.write(records)
    assert (writer.written, writer.offsets()) == (5, {0: 5})


def test_what_cannot_be_read_is_counted_and_not_read_again(writer: TraceWriter) -> None:
    writer.write([Fetched(1, 0, b"{broken"), Fetched(1, 1, None), Fetched(1, 2, b'{"schema": "agents.trace/1"}')])
    assert (writer.unreadable, writer.offsets()) == (3, {1: 3})


def test_a_transaction_that_fails_leaves_neither_rows_nor_offsets(
    path: Path, writer: TraceWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(fetched([made(0)]))
    monkeypatch.setattr("streams.api.tracewriter.MAX_NAMES", "broken")
    with pytest.raises(TypeError):
        writer.write(fetched([made(1)], first=1))
    assert (len(listed(path)), writer.offsets()) == (1, {0: 1})


def test_retention_by_age(path: Path, writer: TraceWriter) -> None:
    writer.write(fetched([made(n) for n in range(300)]))
    writer.prune(Retention(1.0, 1 << 40), EPOCH + 3 * SECOND)
    assert [t.trace_id for t in listed(path)] == [f"{n + 1:032x}" for n in range(299, 199, -1)]
    assert listed(path, Filter(text="word3", until_ns=EPOCH + 2 * SECOND)) == []


def test_retention_by_size_keeps_the_newest(path: Path, writer: TraceWriter) -> None:
    writer.write(fetched([made(n) for n in range(4_000)]))
    limit = writer.used_bytes() * 2 // 3
    writer.prune(Retention(1e9, limit), EPOCH)
    left = listed(path)
    assert writer.used_bytes() <= limit
    assert 1_000 <= len(left) < 4_000
    assert [t.trace_id for t in left] == [f"{n + 1:032x}" for n in range(3_999, 3_999 - len(left), -1)]


@pytest.mark.parametrize("damage", ["version", "content"])
def test_a_file_of_another_version_or_a_damaged_one_is_begun_anew(path: Path, damage: str) -> None:
    first = TraceWriter(path, "agents.traces")
    first.write(fetched([made(0)]))
    first.close()
    if damage == "version":
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(ServiceUnavailable):
            TraceReader(path)
    else:
        path.write_bytes(b"no database" * 1_000)
    second = TraceWriter(path, "agents.traces")
    assert (second.offsets(), listed(path)) == ({}, [])
    second.close()


def test_readers_read_while_the_writer_is_in_a_transaction(path: Path, writer: TraceWriter) -> None:
    writer.write(fetched([made(0)]))
    reader = TraceReader(path)
    with writer._transaction():
        writer._take(encode_trace(made(1)))
        assert len(reader.page(Filter()).traces) == 1
    assert len(reader.page(Filter()).traces) == 2


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1_001}, {"cursor": "x-1"}, {"cursor": "12"}])
def test_what_cannot_be_asked(path: Path, writer: TraceWriter, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"limit|cursor"):
        TraceReader(path).page(Filter(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="status"):
        TraceReader(path).page(Filter(status="slow"))
    with pytest.raises(ValueError, match="pattern"):
        TraceReader(path).page(Filter(pattern="spiral"))


def test_there_is_no_reader_without_a_file(path: Path) -> None:
    with pytest.raises(ServiceUnavailable):
        TraceReader(path)


def test_there_is_one_writer(path: Path, writer: TraceWriter) -> None:
    with pytest.raises(ServiceUnavailable, match="feeder already"):
        TraceWriter(path, "agents.traces")
    writer.write(fetched([made(0)]))
    assert len(listed(path)) == 1
