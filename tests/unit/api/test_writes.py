"""What people and deployers say to the API: which answer, which record, and what the lists show afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from benchmarks.apiworld import pinned
from streams import topics
from streams.domain.baseline import decode_pinned, encode_pinned
from streams.domain.control import Close, Unlink, decode_control
from streams.domain.deployment import decode_deployment
from streams.domain.incident import Member, encode_incident
from streams.domain.incident import Status as IncidentStatus
from streams.errors import ServiceUnavailable
from streams.gate.book import GateBook
from streams.gate.verdict import Verdict
from streams.records.gatecheck import Question
from streams.settings import Settings
from streams.subscribe import commandhook
from streams.subscribe.commands import checked
from tests.unit.api.scene import Scene
from tests.unit.gate.test_scenarios import USUAL, windows
from tests.unit.subscribe.drawing import incident

SECOND = 10**9
BODY = {"deployment_id": "shop-2", "service": "shop", "version": "2", "baseline_version": "1", "strategy": "canary"}
TARGET, KEY = "ab" * 8, b"0123456789abcdef"


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
