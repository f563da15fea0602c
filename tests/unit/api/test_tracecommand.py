"""``streams traces list|show`` over a file; feed is in tests/integration/test_tracefeeder.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.api.tracewriter import TraceWriter
from streams.cli import main
from tests.unit.api.test_tracestore import fetched, made


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "traces.sqlite3"
    monkeypatch.setenv("STREAMS_TRACE_STORE_PATH", str(path))
    writer = TraceWriter(path, "agents.traces")
    writer.write(fetched([made(n) for n in (0, 1, 6, 49)]))
    writer.close()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["traces", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_list_and_its_next_page(capsys: pytest.CaptureFixture[str]) -> None:
    header, first, more = said(capsys, "list", "--limit", "1")
    assert header.split() == ["start", "(UTC)", "ms", "spans", "errors", "trace", "root"]
    assert first == f"2023-11-14 22:13:20.490        49.0      2       0  {50:032x}  planner: run 1"
    rest = said(capsys, "list", "--cursor", more.removeprefix("more: --cursor "))
    assert [line.split()[5] for line in rest[1:]] == [f"{n + 1:032x}" for n in (6, 1, 0)]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--status", "error"], [6, 0]),
        (["--agent", "agent-1"], [6, 1]),
        (["--service", "tool-0", "--operation", "run 2"], [6]),
        (["--conversation", "talk-0", "--min-ms", "20"], [49]),
        (["--text", "disk word6"], [6]),
        (["--since", "60"], []),
    ],
)
def test_filters(capsys: pytest.CaptureFixture[str], arguments: list[str], numbers: list[int]) -> None:
    assert [line.split()[5] for line in said(capsys, "list", *arguments)[1:]] == [f"{n + 1:032x}" for n in numbers]


def test_a_trace_is_a_tree_with_times(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "show", f"{7:032x}") == [
        f"{7:032x}  6.0 ms  2 spans  complete",
        "       0.0        6.0 ms * planner: run 2",
        "       0.0        1.0 ms *   tool-0: execute_tool  ERROR the disk is full",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "ab" * 16], "there is no trace abab"),
        (["list", "--limit", "0"], "limit is 0"),
        (["list", "--cursor", "x"], "cursor is 'x'"),
    ],
)
def test_what_cannot_be_shown(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(["traces", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_without_a_file_it_says_what_to_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_TRACE_STORE_PATH", str(tmp_path / "none.sqlite3"))
    assert main(["traces", "list"]) == 3
    assert "streams traces feed" in capsys.readouterr().err
