"""What people and deployers say to the API: which answer, which record, and what the lists show afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents_emitter.events import encode_log_batch
from agents_emitter.redaction import Redactor
from benchmarks.apiworld import BoardLedger, pinned
from streams import topics
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import BoardWriter, Fetched
from streams.api.context import Context
from streams.api.logs.writer import LogWriter
from streams.api.server import make_app
from streams.api.tracewriter import Fetched as FetchedTrace
from streams.api.tracewriter import TraceWriter
from streams.correlate.rehearsal import Rehearsal
from streams.correlate.rule import Rule
from streams.domain.baseline import decode_pinned, encode_pinned
from streams.domain.control import Close, Unlink, decode_control
from streams.domain.deployment import decode_deployment
from streams.domain.incident import Member, encode_incident
from streams.domain.incident import Status as IncidentStatus
from streams.domain.progress import Standing, encode_standing
from streams.domain.trace import encode_trace
from streams.domain.window import encode_window_batch
from streams.errors import ServiceUnavailable
from streams.gate.book import GateBook
from streams.gate.verdict import GateResult, Status, Verdict
from streams.records.gatecheck import Question
from streams.settings import Settings
from streams.subscribe import commandhook
from streams.subscribe.commands import checked
from tests.unit.gate.test_scenarios import USUAL, windows
from tests.unit.gate.windows import series, window
from tests.unit.subscribe.drawing import incident
from tests.unit.trace.drawing import EPOCH, span
from tests.unit.trace.reference import trace_record
from tests.unit.window_batches import batch as window_batch
from tests.unit.window_batches import series as batch_series

SECOND = 10**9
BODY = {"deployment_id": "shop-2", "service": "shop", "version": "2", "baseline_version": "1", "strategy": "canary"}
TARGET, KEY = "ab" * 8, b"0123456789abcdef"


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


def test_the_same_request_again_changes_nothing_and_another_is_refused(scene: Scene) -> None:
    status, first = scene.post("deployments/start", BODY, **{"Idempotency-Key": "k1"})
    assert (status, first["deployment"]["state"], first["deployment"]["steps"][0]["by"]) == (201, "registered", "local")
    scene.now_ns += SECOND
    status, again = scene.post("deployments/start", BODY, **{"Idempotency-Key": "k1"})
    assert (status, again["deployment"]) == (200, first["deployment"])
    assert len(scene.ledger.written) == 1
    status, refused = scene.post("deployments/start", BODY | {"version": "3"})
    assert (status, "choose a new id" in refused["detail"]) == (409, True)
    status, refused = scene.post("deployments/start", BODY | {"deployment_id": "other"}, **{"Idempotency-Key": "k1"})
    assert (status, "Idempotency-Key registered deployment shop-2" in refused["detail"]) == (409, True)
    assert len(scene.ledger.written) == 1


def test_from_start_to_completion(scene: Scene) -> None:
    scene.post("deployments/start", BODY)
    status, refused = scene.post("deployments/shop-2/complete", {"why": "done"})
    assert (status, "the last verdict is missing" in refused["detail"]) == (409, True)
    scene.now_ns += 10 * SECOND
    status, verdict = scene.post("deployments/shop-2/validate", {"wait_seconds": 5})
    assert status == 200
    assert (verdict["verdict"], verdict["state"], verdict["recommended_action"]) == ("pass", "validating", "promote")
    assert verdict["gates"][0]["reason"] == "why"
    assert scene.asked == ("shop", "production", Question("2", "1", 5.0))
    last = scene.get("performance-gates?service=shop")["last_evaluation"]
    assert (last["deployment_id"], last["verdict"], last["at"]) == ("shop-2", "pass", "1970-01-01T00:01:50.000Z")
    assert scene.get("performance-gates?service=other")["last_evaluation"] is None
    scene.now_ns += 10 * SECOND
    assert scene.post("deployments/shop-2/complete", {"why": "done"})[0] == 200
    assert scene.state() == "succeeded"
    assert scene.post("deployments/shop-2/validate", {})[0] == 409
    found = scene.get("deployments/statistics?since_seconds=0")["statistics"]
    assert (found["total"], found["success_ratio"], found["mean_duration_seconds"]) == (1, 1.0, 20.0)
    assert (found["change_failure_ratio"], found["mean_restore_seconds"]) == (0.0, None)


def test_a_failed_one_is_rolled_back(scene: Scene, tmp_path: Path) -> None:
    scene.post("deployments/start", BODY)
    scene.verdict = "fail"
    assert scene.post("deployments/shop-2/validate", {})[1]["recommended_action"] == "roll back"
    assert scene.state() == "failed"
    written = len(scene.ledger.written)
    status, body = scene.post("deployments/shop-2/rollback", {"why": "errors"})
    assert (status, body["executed"], body["deployment"]["state"]) == (200, False, "failed")
    assert body["command"]["evidence"]["failed"] == [{"name": "errors", "blocking": True, "reason": "why"}]
    assert (len(scene.ledger.written), scene.state()) == (written, "failed"), "it was only shown"
    asked = {"why": "errors", "execute": True}
    status, refused = scene.post("deployments/shop-2/rollback", asked)
    assert (status, "STREAMS_COMMANDS_KEY_FILE" in refused["detail"]) == (503, True)
    (tmp_path / "key").write_bytes(KEY + b"\n")
    scene.context.settings = replace(scene.context.settings, commands_key_file=str(tmp_path / "key"))
    status, body = scene.post("deployments/shop-2/rollback", asked)
    assert (status, scene.state()) == (200, "rollback_requested")
    (topic, key, value), headers = scene.ledger.written[written], scene.ledger.headers[written]
    command = checked(KEY, value, headers, scene.now_ns)
    assert (topic, key, command.id) == (topics.COMMANDS, b"shop", body["command"]["id"])
    assert (command.from_version, command.to_version, command.reason, command.by) == ("2", "1", "errors", "local")
    assert scene.post("deployments/shop-2/rollback", {"why": "again", "execute": True})[1]["command"] == body["command"]
    kept = [topic for topic, *_ in scene.ledger.written[written:]]
    assert kept == [topics.COMMANDS, topics.DEPLOYMENTS, topics.COMMANDS], "the command again, the state not"
    assert scene.post("deployments/shop-2/complete", {"why": "no"})[0] == 409


def test_too_little_data_pauses_and_nothing_known_changes_nothing(scene: Scene) -> None:
    scene.post("deployments/start", BODY)
    scene.verdict = "inconclusive"
    assert scene.post("deployments/shop-2/validate", {})[1]["state"] == "paused"

    async def gone(*_: Any) -> Verdict:
        raise ServiceUnavailable("no broker")

    scene.context.judge = gone
    assert scene.post("deployments/shop-2/validate", {})[0] == 503
    assert decode_deployment(scene.ledger.written[-1][2]).verdict is not None
    assert scene.state() == "validating"


class Deployer(HTTPServer):
    """A real receiver: answers with these statuses in turn, the last one again and again."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _DeployerHandler)
        self.statuses = list(statuses)
        self.taken: list[tuple[bytes, list[tuple[str, bytes]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/rollback?team=shop"


class _DeployerHandler(BaseHTTPRequestHandler):
    server: Deployer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((body, [(name, text.encode()) for name, text in self.headers.items()]))
        left = self.server.statuses
        self.send_response(left.pop(0) if len(left) > 1 else left[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def deployer(scene: Scene, tmp_path: Path, *statuses: int, private: str = "on") -> Iterator[Deployer]:
    """One that is told of commands, and a deployment that may be rolled back."""
    (tmp_path / "key").write_bytes(KEY)
    receiver = Deployer(*statuses)
    scene.context.settings = replace(
        scene.context.settings,
        commands_key_file=str(tmp_path / "key"),
        commands_url=receiver.url,
        commands_private=private,
    )
    scene.post("deployments/start", BODY)
    Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.server_close()


def test_a_webhook_gets_the_command_as_it_is_on_the_topic(scene: Scene, tmp_path: Path) -> None:
    with deployer(scene, tmp_path, 204) as receiver:
        assert scene.post("deployments/shop-2/rollback", {"why": "errors"})[0] == 200
        assert receiver.taken == [], "it was only shown"
        status, body = scene.post("deployments/shop-2/rollback", {"why": "errors", "execute": True})
        ((value, headers),) = receiver.taken
        assert (status, checked(KEY, value, headers, scene.now_ns).id) == (200, body["command"]["id"])
        assert value in [written for topic, _, written in scene.ledger.written if topic == topics.COMMANDS]
        with pytest.raises(ValueError, match="signature"):
            checked(b"another key 1234", value, headers, scene.now_ns)
        with pytest.raises(ValueError, match="signature"):
            checked(KEY, value.replace(b"shop-2", b"shop-3"), headers, scene.now_ns)
        with pytest.raises(ValueError, match="signature"):
            checked(KEY, value, headers, scene.now_ns + 301 * SECOND)


@pytest.mark.parametrize(
    ("statuses", "private", "attempts", "says"),
    [
        ((503, 500, 204), "on", 3, ""),
        ((500,), "on", 3, "it answered 500"),
        ((400,), "on", 1, "it answered 400"),
        ((302,), "on", 1, "it answered 302"),
        ((429, 204), "on", 2, ""),
        ((204,), "off", 0, "in a private network: allow that with STREAMS_COMMANDS_PRIVATE=on"),
    ],
)
def test_what_a_webhook_does_not_take_is_told_and_may_be_asked_for_again(
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statuses: tuple[int, ...],
    private: str,
    attempts: int,
    says: str,
) -> None:
    monkeypatch.setattr(commandhook, "PAUSE_SECONDS", 0.0)
    with deployer(scene, tmp_path, *statuses, private=private) as receiver:
        asked = {"why": "errors", "execute": True}
        status, body = scene.post("deployments/shop-2/rollback", asked)
        assert len(receiver.taken) == attempts
        assert (status, says in body.get("detail", "")) == (503 if says else 200, True), body
        assert (scene.state(), scene.ledger.written[-2][0]) == ("rollback_requested", topics.COMMANDS)
        receiver.statuses = [204]
        scene.context.settings = replace(scene.context.settings, commands_private="on")
        assert scene.post("deployments/shop-2/rollback", asked)[0] == 200
        assert len({checked(KEY, *taken, scene.now_ns).id for taken in receiver.taken}) == 1, "each is the same command"


@pytest.mark.parametrize("action", ["validate", "complete", "rollback"])
def test_what_is_not_there_is_404(scene: Scene, action: str) -> None:
    assert scene.post(f"deployments/none/{action}", {} if action == "validate" else {"why": "x"})[0] == 404


def test_history_is_filtered_and_paged(scene: Scene) -> None:
    for number in range(5):
        scene.now_ns += SECOND
        service = "shop" if number % 2 else "other"
        scene.post("deployments/start", BODY | {"deployment_id": f"d{number}", "service": service})
    pages, cursor = [], ""
    while True:
        body = scene.get(f"deployments/history?limit=2&cursor={cursor}")
        pages += [one["id"] for one in body["deployments"]]
        if not (cursor := body["next_cursor"]):
            break
    assert pages == ["d4", "d3", "d2", "d1", "d0"]
    assert [one["id"] for one in scene.get("deployments/history?service=shop")["deployments"]] == ["d3", "d1"]
    assert scene.get("deployments/history?status=failed")["deployments"] == []


def test_acks_come_and_go(scene: Scene) -> None:
    status, body = scene.post("acks", {"target": TARGET, "why": "on it", "for_seconds": 60})
    assert (status, body["ack"]["by"], body["ack"]["until"]) == (201, "local", "1970-01-01T00:02:40.000Z")
    assert [one["target"] for one in scene.get("acks")["acks"]] == [TARGET]
    scene.now_ns += 60 * SECOND
    assert scene.get("acks")["acks"] == [], "its time is over"
    scene.post("acks", {"target": TARGET, "why": "still"})
    assert scene.client.delete(f"/api/v1/acks/{TARGET}").status_code == 422, "it needs a why"
    assert scene.client.delete(f"/api/v1/acks/{TARGET}?why=done").status_code == 204
    assert scene.get("acks")["acks"] == []
    assert scene.client.delete(f"/api/v1/acks/{TARGET}?why=done").status_code == 404
    last = decode_control(scene.ledger.written[-1][2])
    assert (last.cleared, last.why) == (True, "done")


def test_maintenance_comes_and_goes(scene: Scene) -> None:
    body = {"id": "m1", "where": {"service.name": ["plan*"]}, "why": "upgrade", "for_seconds": 60}
    status, made = scene.post("maintenance", body)
    assert (status, made["maintenance"]["in_force"], made["maintenance"]["ends_at"]) == (
        201,
        True,
        "1970-01-01T00:02:40.000Z",
    )
    later = body | {"id": "m2", "starts_at": "1970-01-01T02:00:00+01:00"}
    assert scene.post("maintenance", later)[1]["maintenance"]["starts_at"] == "1970-01-01T01:00:00.000Z"
    assert [(m["id"], m["in_force"]) for m in scene.get("maintenance")["maintenance"]] == [("m1", True), ("m2", False)]
    assert scene.client.delete("/api/v1/maintenance/m1?why=early").status_code == 204
    assert [m["id"] for m in scene.get("maintenance")["maintenance"]] == ["m2"]
    assert scene.client.delete("/api/v1/maintenance/m1?why=early").status_code == 404
    for wrong in ({"starts_at": "1960-01-01T00:00Z"}, {"starts_at": "9000-01-01T00:00Z"}, {"where": {}}, {"x": 1}):
        assert scene.post("maintenance", body | wrong)[0] == 422, wrong
    assert {topic for topic, *_ in scene.ledger.written} == {topics.CONTROL}


def test_a_baseline_is_pinned_and_shown_and_too_little_data_pins_nothing(scene: Scene) -> None:
    batches = windows(USUAL, USUAL, panes=40)

    async def fill(_: Settings, book: GateBook, __: Callable[[], int]) -> None:
        for batch in batches:
            book.add(batch)

    scene.context.fill = fill
    body = {"service": "shop", "version": "1", "why": "release 1"}
    status, made = scene.post("baselines", body)
    assert (status, made["baseline"]["by"], made["baseline"]["profile"]) == (201, "local", "pinned"), made
    assert made["baseline"]["gates"]["memory_since_baseline"] == {"windows": 40, "samples": 160}
    ((topic, _, value),) = scene.ledger.written
    assert (topic, decode_pinned(value).gates.keys()) == (topics.BASELINES, made["baseline"]["gates"].keys())
    assert scene.get("baselines")["baselines"] == scene.get("baselines?service=shop&profile=pinned")["baselines"]
    assert scene.get("baselines/pinned/shop")["baseline"] == made["baseline"]
    assert scene.get("baselines?service=other")["baselines"] == []
    assert scene.client.get("/api/v1/baselines/pinned/shop?environment=test").status_code == 404
    status, refused = scene.post("baselines", body | {"version": "none"})
    assert (status, "nothing is pinned" in refused["detail"]) == (409, True)
    assert scene.post("baselines", body | {"profile": "none"})[0] == 422
    assert scene.post("baselines", body | {"profile": "default"})[0] == 409, "it has no gate that looks at a baseline"
    assert len(scene.ledger.written) == 1


def test_an_incident_is_resolved_or_merged_where_it_can_be(scene: Scene) -> None:
    states: dict[str, IncidentStatus] = {"1" * 16: "open", "2" * 16: "open", "3" * 16: "resolved", "4" * 16: "merged"}
    for name, status in states.items():
        scene.ledger.show(topics.INCIDENTS, encode_incident(incident(incident_id=name, status=status)))
    one, two, over, part = states

    def asked(name: str, what: str, **more: str) -> int:
        status, body = scene.post(f"incidents/{name}/{what}", {"why": "it is over", **more})
        assert status != 202 or body.items() >= {"incident_id": name, "asked": what, "by": "local", **more}.items()
        return status

    assert asked(one, "resolve") == 202
    assert asked(over, "merge", into=two) == 202
    said = [decode_control(value) for _, _, value in scene.ledger.written]
    now_ns = scene.now_ns
    assert said == [
        Close(one, "local", "it is over", now_ns),
        Close(over, "local", "it is over", now_ns, two),
    ]
    assert [asked(name, "resolve") for name in (over, part, "5" * 16)] == [409, 409, 404]
    assert [asked(one, "merge", into=into) for into in (part, "5" * 16, one, "x")] == [409, 404, 422, 422]
    assert asked(part, "merge", into=one) == 409
    assert scene.post(f"incidents/{one}/resolve", {"why": " "})[0] == 422
    assert len(scene.ledger.written) == 2
    assert scene.get("acks")["acks"] == scene.get("maintenance")["maintenance"] == []


def test_an_alert_is_taken_out_of_an_incident_where_it_can_be(scene: Scene) -> None:
    fires = Member("a" * 16, "AgentErrorsHigh", "high", "front", "", 5, 0, "")
    over, only = replace(fires, fingerprint="b" * 16, ends_at_ns=9), (fires,)
    known = {"1" * 16: (fires, over), "2" * 16: only, "3" * 16: (fires, over)}
    for name, members in known.items():
        made = incident(incident_id=name, status="resolved" if name[0] == "3" else "open", members=members)
        scene.ledger.show(topics.INCIDENTS, encode_incident(made))

    def asked(name: str, fingerprint: str, why: str = "another matter") -> int:
        return scene.post(f"incidents/{name * 16}/unlink", {"why": why, "fingerprint": fingerprint * 16})[0]

    assert asked("1", "a") == 202
    assert [decode_control(value) for _, _, value in scene.ledger.written] == [
        Unlink("1" * 16, "a" * 16, "local", "another matter", scene.now_ns)
    ]
    refused = [("1", "b"), ("2", "a"), ("3", "a"), ("1", "c"), ("4", "a"), ("1", "x")]
    assert [asked(*one) for one in refused] == [409, 409, 409, 404, 404, 422]
    assert asked("1", "a", " ") == 422
    assert len(scene.ledger.written) == 1


def test_rules_are_tried_on_what_has_been(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[str, ...], int]] = []

    async def rehearse(_: Settings, rules: Sequence[Rule], since_ns: int) -> tuple[Rehearsal, int]:
        asked.append((tuple(rule.name for rule in rules), since_ns))
        made = Rehearsal(rules)
        for number in range(3):
            made.apply(0, window_batch(number, {batch_series("load", "gauge", agent__id="a1"): [50.0]}))
        return made, 1

    scene.context.rehearse = rehearse
    text = (
        "version: 1\nrules:\n  Load: {metric: load, statistic: max, window_seconds: 10, group_by: [agent.id], "
        "summary: s, "
        "levels: [{severity: high, threshold: 10}]}\n"
    )
    status, found = scene.post("rules/replay", {"rules": text, "since_seconds": 60})
    assert (status, found["windows"], found["unreadable_records"], found["since_seconds"]) == (200, 3, 1, 60)
    outcome = found["rules"]["Load"]
    assert (outcome["fired"], outcome["groups"], outcome["worst"]) == (1, 1, "high")
    assert scene.post("rules/replay", {})[1]["rules"].keys() >= {"AgentMemoryHigh"}
    assert [(names[0], (scene.now_ns - since) // SECOND) for names, since in asked[:1]] == [("Load", 60)]
    assert (scene.now_ns - asked[1][1]) // SECOND == 3600
    status, refused = scene.post("rules/replay", {"rules": "rules: ["})
    assert (status, "these rules cannot be used" in refused["detail"]) == (422, True)
    assert scene.post("rules/replay", {"since_seconds": 0})[0] == 422

    async def slow(*_: Any) -> tuple[Rehearsal, int]:
        await asyncio.Event().wait()
        raise AssertionError

    scene.context.rehearse = slow
    monkeypatch.setattr("streams.api.routes.rules.REPLAY_SECONDS", 0.01)
    status, refused = scene.post("rules/replay", {})
    assert (status, "ask for less" in refused["detail"]) == (503, True)


def test_how_far_the_pipeline_is_and_what_became_of_events(scene: Scene, tmp_path: Path) -> None:
    scene.now_ns = 100_000 * SECOND
    writer, told = BoardWriter(tmp_path / "board.sqlite3"), []
    for minute in range(70):
        for partition in range(2):
            fates = {"late": 2 * minute, "duplicate": partition, "rejected": minute if partition else 0, "overflow": 0}
            at_ns = scene.now_ns - (69 - minute) * 60 * SECOND
            far = (5, 1.5, 3.0) if partition else (7, 0.5, 9.0)
            told.append(encode_standing(Standing("metrics", topics.METRICS, partition, at_ns, fates, *far)))
    gone = Standing("traces", topics.SPANS, 0, scene.now_ns - 61 * SECOND, {"late": 3}, 1_000, 99.0, 99.0)
    told += [encode_standing(gone), b"{"]
    writer.write([Fetched(topics.PROGRESS, 0, n, 6_000, value) for n, value in enumerate(told)])
    found = scene.get("monitoring/stats?window=300")["pipeline"]
    assert (found["lag_records"], found["lag_seconds"], found["watermark_delay_seconds"]) == (12, 1.5, 9.0)
    assert [found[name] for name in ("late", "duplicate", "rejected", "overflow")] == [20, 0, 5, 0]
    assert (found["partitions"], found["partitions_silent"]) == (3, 1)
    assert scene.get("monitoring/stats?window=3600")["pipeline"]["late"] == 240
    writer.write(
        [Fetched(topics.PROGRESS, 0, 200, 6_000, encode_standing(replace(gone, fates={"late": 1}, at_ns=scene.now_ns)))]
    )
    assert scene.get("monitoring/stats?window=60")["pipeline"]["late"] == 4 + 1, "its state began anew"
    writer.prune(86_400, scene.now_ns + 7_300 * SECOND)
    assert scene.get("monitoring/stats")["pipeline"]["partitions"] == 0, "nobody asks for what was longer ago"
    assert (writer.unreadable, writer.pruned) == (1, 142)


def test_figures_of_all_agents_are_of_the_window_and_none_where_none_is_of_now(scene: Scene, tmp_path: Path) -> None:
    def of(metric: str, *values: float, **labels: str) -> tuple[Any, list[float]]:
        return series(metric, "2", **labels), list(values)

    agent = {"agent.id": "planner-1"}
    work = [
        of("agents.steps", 90.0, outcome="success", **agent),
        of("agents.steps", 10.0, outcome="timeout", **agent),
        of("agents.inference.operations", 50.0, outcome="success"),
        of("agents.inference.duration", *[0.1] * 90, *[0.4] * 10, **agent),
        of("agents.coordination.requests", 19.0, outcome="success"),
        of("agents.coordination.requests", 1.0, outcome="failure"),
        of("agents.coordination.sessions.active", 2.0, 4.0, coordination_type="x"),
        of("agents.coordination.sessions.active", 1.0, coordination_type="y"),
        of("agents.belief.predictions", 3.0, correct="true"),
        of("agents.belief.predictions", 1.0, correct="false"),
        of("agents.belief.free_energy", 1.0, 3.0),
        of("agents.lifecycle.events", 1.0, event="restart", **agent),
        of("gen_ai.client.token.usage", 100.0, 50.0, **{"gen_ai.token.type": "input"}),
    ]
    scene.now_ns = 10_000 * SECOND
    writer = AgentWriter(tmp_path / "board-agents.sqlite3", 10.0)
    batches = [window(999, work), window(960, [of("agents.steps", 7.0, **agent)]), window(999, work[:2], partition=1)]
    writer.write(
        [Fetched(topics.WINDOWS, 0, n + 1, 6_000, encode_window_batch(batch)) for n, batch in enumerate(batches)]
    )
    found = scene.get("monitoring/stats?window=60")
    assert (found["status"], found["agents"]["active"]) == ("ok", 1)
    assert found["pipeline"] == {
        **dict.fromkeys(("watermark_delay_seconds", "lag_records", "lag_seconds")),
        **dict.fromkeys(("late", "duplicate", "rejected", "overflow")),
        "windows_age_seconds": 0.0,
        "dead_letters": 0,
        "partitions": 0,
        "partitions_silent": 0,
    }
    assert (found["agents"]["started"], found["agents"]["stopped"]) == (1.0, 0.0)
    assert found["steps"] == {"count": 200.0, "error_ratio": 0.1}
    times = found["inferences"]
    assert (times["count"], times["error_ratio"], times["timed"]) == (50.0, 0.0, 100)
    assert (times["p50_seconds"], times["p99_seconds"]) == (pytest.approx(0.1, rel=0.02), pytest.approx(0.4, rel=0.02))
    assert found["coordination"] == {"requests": 20.0, "success_ratio": 0.95, "p95_seconds": None, "sessions": 4.0}
    beliefs = {"updates": None, "error_ratio": None, "accuracy_ratio": 0.75, "free_energy": 2.0}
    assert (found["beliefs"], found["tokens"]) == (beliefs, {"input": 150.0, "output": None})
    assert scene.get("monitoring/stats?window=3600")["steps"]["count"] == 207.0
    assert scene.client.get("/api/v1/monitoring/stats?window=7").status_code == 422
    scene.now_ns += 121 * SECOND
    found = scene.get("monitoring/stats")
    assert (found["status"], found["steps"], found["agents"]["active"]) == (
        "no_data",
        {"count": None, "error_ratio": None},
        None,
    )
    assert found["pipeline"]["windows_age_seconds"] == 121.0
    scene.ledger.broken = True
    assert scene.get("monitoring/stats")["pipeline"]["dead_letters"] is None, "nobody knows"
    writer.prune(60, scene.now_ns)
    assert writer._db.execute("SELECT count(*) FROM activity").fetchone() == (0,)
    writer.close()


def test_health_follows_the_baselines_and_says_where_nothing_is_known(scene: Scene, tmp_path: Path) -> None:
    def say(memory: float, pane: int) -> None:
        agents = AgentWriter(tmp_path / "board-agents.sqlite3", 10.0)
        offset = agents.offsets().get((topics.WINDOWS, 0), 0)
        rows = [(series("agents.memory", "2", **{"agent.id": "planner-1"}), [memory])]
        agents.write([Fetched(topics.WINDOWS, 0, offset, 6_000, encode_window_batch(window(pane, rows)))])
        agents.close()

    found = scene.get("system/metrics/health")
    checks = {check["name"]: check for check in found["checks"]}
    assert (found["status"], found["agents"]) == ("healthy", {"alive": 1})
    assert (checks["agent_memory_max"]["value"], checks["agent_memory_max"]["status"]) == (1e6, "ok")
    assert (checks["belief_accuracy"]["value"], checks["belief_accuracy"]["status"]) == (None, "no_data")
    assert found["topics"] == [{"topic": topics.WINDOWS, "records": 1, "newest_record": "1970-01-01T00:00:06.000Z"}]
    for memory, status in ((3.4e7, "degraded"), (3.7e7, "unhealthy"), (1e6, "healthy")):
        scene.now_ns += 100 * SECOND
        say(memory, scene.now_ns // (10 * SECOND) - 1)
        assert scene.get("system/metrics/health")["status"] == status
    event = scene.context.caught_up = {"board": asyncio.Event()}
    assert scene.get("system/metrics/health")["status"] == "degraded"
    event["board"].set()
    assert scene.get("system/metrics/health")["status"] == "healthy"
    scene.context.failures["board"] = "no broker"
    assert scene.get("system/metrics/health")["feeders"][0]["detail"] == "no broker"
    scene.now_ns += 121 * SECOND
    found = scene.get("system/metrics/health")
    assert (found["status"], found["agents"], found["checks"][-1]["value"]) == ("unhealthy", {"no_data": 1}, 121.0)
    (tmp_path / "board-agents.sqlite3").unlink()
    AgentWriter(tmp_path / "board-agents.sqlite3", 10.0).close()
    assert scene.get("system/metrics/health")["status"] == "no_data"


def test_traces_are_analysed_beside_those_before(scene: Scene) -> None:
    scene.now_ns = EPOCH + 60 * SECOND
    found = scene.get("traces/analysis?time_window=120")
    assert (found["traces"], found["baseline_traces"], found["cut"]) == (1, 0, False)
    assert [(one["name"], one["count"], one["new"]) for one in found["errors"]] == [("c", 1, True)]
    assert scene.get("traces/analysis?time_window=120&version=2")["errors"] == []
    scene.now_ns += 120 * SECOND
    found = scene.get("traces/analysis?time_window=120")
    assert (found["traces"], found["baseline_traces"], found["errors"]) == (0, 1, [])


def test_rules_are_those_of_the_file(scene: Scene) -> None:
    rules = {one["name"]: one for one in scene.get("rules")["rules"]}
    assert rules["AgentMemoryHigh"]["levels"][0]["threshold"] == 36_175_872
    assert scene.get("rules/AgentMemoryHigh")["rule"] == rules["AgentMemoryHigh"]
    assert scene.client.get("/api/v1/rules/None").status_code == 404
    scene.context.settings = replace(scene.context.settings, thresholds_path=Path("none.yml"))
    answer = scene.client.get("/api/v1/rules")
    assert (answer.status_code, "STREAMS_THRESHOLDS_PATH=none.yml" in answer.json()["detail"]) == (503, True)


def test_examples_are_what_is_answered(scene: Scene) -> None:
    """Each field of an example of a list or a thing is a field of a real answer."""
    scene.post("deployments/start", BODY)
    verdict = scene.post("deployments/shop-2/validate", {})[1]
    scene.post("acks", {"target": TARGET, "why": "on it"})
    scene.post("maintenance", {"id": "m1", "where": {"a": ["b"]}, "why": "x", "for_seconds": 60})
    scene.ledger.written.append((topics.BASELINES, pinned().key, encode_pinned(pinned())))
    described = scene.get("../openapi.json")["paths"]
    checked = 0
    for path, operations in described.items():
        real = path.replace("{deployment_id}", "shop-2").replace("{name}", "AgentMemoryHigh")
        real = real.replace("{agent_id}", "planner-1").replace("{profile}/{service}", "pinned/shop")
        for method, operation in operations.items():
            content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            if "example" in content and (method == "get" or path.endswith("validate")):
                answer = verdict if method == "post" else scene.client.get(real).json()
                missing = list(_missing(content["example"], answer, real))
                assert missing == []
                checked += 1
    assert checked >= 12


def _missing(example: Any, answer: Any, where: str) -> Iterator[str]:
    if isinstance(example, dict) and isinstance(answer, dict):
        for name, value in example.items():
            if name not in answer and name not in ("registered", "service.name", "high"):
                yield f"{where}: {name}"
            yield from _missing(value, answer.get(name), f"{where}: {name}")
    elif isinstance(example, list) and isinstance(answer, list) and example and answer:
        yield from _missing(example[0], answer[0], where)
