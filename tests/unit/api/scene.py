"""An API over read models that a test fills, with a clock and gates that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents_emitter.events import encode_log_batch
from agents_emitter.redaction import Redactor
from benchmarks.apiworld import BoardLedger
from streams import topics
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import BoardWriter, Fetched
from streams.api.context import Context
from streams.api.logs.writer import LogWriter
from streams.api.server import make_app
from streams.api.tracewriter import Fetched as FetchedTrace
from streams.api.tracewriter import TraceWriter
from streams.domain.trace import encode_trace
from streams.domain.window import encode_window_batch
from streams.gate.book import GateBook
from streams.gate.verdict import GateResult, Status, Verdict
from streams.records.gatecheck import Question
from streams.settings import Settings
from tests.unit.gate.windows import series, window
from tests.unit.trace.drawing import span
from tests.unit.trace.reference import trace_record

SECOND = 10**9


@dataclass
class Scene:
    """An API whose clock and gates the test holds."""

    client: TestClient
    ledger: BoardLedger
    context: Context
    now_ns: int = 100 * SECOND
    verdict: Status = "pass"
    asked: tuple[str, str, Question] | None = None

    async def judge(self, _: Settings, book: GateBook, question: Question, clock_ns: Callable[[], int]) -> Verdict:
        self.asked = (book.service, book.environment, question)
        gate = GateResult("errors", "steps", "ratio", "1", "check", self.verdict, True, "why", "<", 0.05, 0.01)
        return Verdict(book.profile.name, self.verdict, (gate,), clock_ns(), 0.0)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        answer = self.client.post(f"/api/v1/{path}", json=body, headers=headers)
        return answer.status_code, answer.json()

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/api/v1/{path}").json()
        return found

    def state(self, name: str = "shop-2") -> str:
        return str(self.get(f"deployments/{name}")["deployment"]["state"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    board = tmp_path / "board.sqlite3"
    BoardWriter(board).close()
    agents = AgentWriter(tmp_path / "board-agents.sqlite3", 10.0)
    rows = [(series("agents.memory", "2", **{"agent.id": "planner-1"}), [1e6])]
    agents.write([Fetched(topics.WINDOWS, 0, 0, 6_000, encode_window_batch(window(9, rows)))])
    agents.close()
    logs = LogWriter(tmp_path / "board-logs.sqlite3", Redactor())
    row = {"body": "slow", "attributes": {"code.function.name": "chat"}}
    logs.write([Fetched(topics.LOGS, 0, 0, 6_000, encode_log_batch({}, [row], producer="p", seq=0))])
    logs.close()
    ledger = BoardLedger(board)
    traces = TraceWriter(tmp_path / "traces.sqlite3", topics.TRACES)
    spans = [span("r", 0, 50, trace="ef" * 16), span("c", 1, 20, "r", trace="ef" * 16, error="no")]
    traces.write([FetchedTrace(0, 0, encode_trace(trace_record("ef" * 16, spans)))])
    traces.close()
    settings = Settings(api_store_path=board, trace_store_path=tmp_path / "traces.sqlite3")
    context = Context(settings, (), lambda: 0, ledger)
    with TestClient(make_app(context), "http://localhost", raise_server_exceptions=False) as client:
        made = Scene(client, ledger, context)
        context.clock_ns, context.judge = lambda: made.now_ns, made.judge
        yield made
