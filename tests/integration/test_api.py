"""``streams api`` as a process on a real broker: it answers what the topics say, again after its file is gone; the page
in a real browser."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from agents_emitter.events import encode_log_batch
from benchmarks.apiworld import deployment
from streams import topics
from streams.app.control import said
from streams.domain.alert import encode_alert
from streams.domain.audit import decode_entry
from streams.domain.control import Ack, Close, Unlink, decode_control, encode_control
from streams.domain.deployment import encode_deployment
from streams.domain.incident import Member, encode_incident
from streams.domain.trace import Edge, encode_edge, encode_trace
from streams.domain.window import encode_window_batch
from streams.gate.lifecycle import validated
from streams.records.cluster import Cluster
from streams.services import install
from streams.services.ports import free_port
from streams.services.process import ChildProcess
from tests.pipeline import ROOT, Pipeline, Sent, eventually, open_pipeline
from tests.unit.api.test_board import anomaly
from tests.unit.gate.windows import series, window
from tests.unit.subscribe.drawing import alert, incident
from tests.unit.trace.drawing import span
from tests.unit.trace.reference import trace_record

pytestmark = pytest.mark.integration
Found = TypeVar("Found")
FINGERPRINT, INCIDENT, TRACE = "ab" * 8, "cd" * 8, "ef" * 16
AGENT = (series("agents.memory", "2", **{"agent.id": "planner-1", "agent.type": "planning"}), [2e7])
"""In a window that ends ten minutes after the start, so that it is alive for that long."""
GATE = {"name": "errors", "status": "fail", "blocking": True, "reason": "ratio 0.2 ratio, asked < 0.05"}
VERDICT = {"verdict": "fail", "recommended_action": "roll back", "at": "2026-01-31T22:00:00.000Z", "gates": [GATE]}
JUDGED = validated(deployment("d0"), VERDICT, "fail", "ci", 2 * 10**9)
WRITER = {"service.name": "shop", "gen_ai.agent.id": "planner-1"}
LOGS = [{"severityNumber": 13, "body": f"call {n} failed, password={n}", "traceId": TRACE} for n in range(3)]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


class Api(ChildProcess):
    """``streams api`` with a work folder of its own."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.port = free_port()
        variables = {
            **pipeline.variables,
            "STREAMS_API_PORT": str(self.port),
            "STREAMS_API_STORE_PATH": str(folder / "board.sqlite3"),
            "STREAMS_TRACE_STORE_PATH": str(folder / "traces.sqlite3"),
            "STREAMS_API_STORE_SECONDS": "315000000",
            "STREAMS_TRACE_STORE_SECONDS": "315000000",
        }
        command = [sys.executable, "-m", "streams", "api"]
        super().__init__("api", command, log=folder / "api.log", variables=variables, folder=ROOT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        answer = httpx.get(self.url + path, timeout=10, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        answer = httpx.post(f"{self.url}/api/v1/{path}", json=body, timeout=60, trust_env=False)
        return answer.status_code, answer.json()

    def ready(self) -> bool:
        try:
            ready = httpx.get(f"{self.url}/health/ready", timeout=5, trust_env=False).status_code == 200
            return ready and bool(self.get("/api/v1/traces")["traces"])
        except httpx.HTTPError:
            return False


def apart(call: Callable[..., Found], *arguments: Any) -> Found:
    """In a thread of its own: the browser may have a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *arguments).result()


def newest_said(pipeline: Pipeline) -> list[Any]:
    return apart(said, Cluster(pipeline.broker.bootstrap))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("api"), cache_folder) as made:
        spans = [span("r", 0, 50, trace=TRACE), span("c", 1, 20, "r", trace=TRACE, name="call", error="it broke")]
        made.produce(
            [
                Sent(topics.ALERTS, b"a", encode_alert(alert(fingerprint=FINGERPRINT))),
                Sent(topics.INCIDENTS, b"i", encode_incident(incident(incident_id=INCIDENT))),
                Sent(topics.ANOMALIES, b"s", anomaly(1)),
                Sent(topics.WINDOWS, b"w", encode_window_batch(window(int(time.time() // 10) + 60, [AGENT]))),
                Sent(topics.DEPLOYMENTS, b"d0", encode_deployment(JUDGED)),
                Sent(topics.CONTROL, b"ack/i", encode_control(Ack(INCIDENT, "ann", "on it", 5))),
                Sent(
                    topics.EDGES, b"e", encode_edge(Edge("planning", "tools", "unset", 9, 1, 0.5, 0.3, 5, 4 * 10**18))
                ),
                Sent(topics.LOGS, b"planner-1", encode_log_batch(WRITER, LOGS, producer="p", seq=0)),
                Sent(topics.TRACES, TRACE.encode(), encode_trace(trace_record(TRACE, spans))),
            ]
        )
        yield made


@pytest.fixture(scope="module")
def api(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(pipeline, tmp_path_factory.mktemp("files"))
    made.start()
    try:
        eventually(lambda: not made.running or made.ready(), "the API is ready")
        assert made.running, made.log_tail()
        yield made
    finally:
        made.kill()


def answers(api: Api) -> dict[str, Any]:
    """What it says, without the times of saying."""
    paths = (
        "alerts",
        "incidents",
        "anomalies",
        "topology?since_seconds=0",
        "traces",
        f"traces/{TRACE}",
        "monitoring/stats",
        "acks",
        "maintenance",
        "deployments/history",
        "monitoring/agents",
        "logs?text=failed",
    )
    found = {path: api.get(f"/api/v1/{path}") for path in paths}
    return {path: {k: v for k, v in body.items() if k != "as_of"} for path, body in found.items()}


def test_it_answers_what_the_topics_say_and_again_after_its_files_are_gone(
    pipeline: Pipeline, api: Api, tmp_path: Path
) -> None:
    first = answers(api)
    assert first["alerts"]["alerts"][0]["fingerprint"] == FINGERPRINT
    assert first["topology?since_seconds=0"]["edges"][0]["calls"] == 9
    assert [one["id"] for one in first["deployments/history"]["deployments"]][-1] == "d0"
    assert [(a["agent_id"], a["status"]) for a in first["monitoring/agents"]["agents"]] == [("planner-1", "alive")]
    shown = [(one["severity"], one["body"]) for one in first["logs?text=failed"]["logs"]]
    assert shown == [("WARN", f"call {n} failed, password=[redacted:secret]") for n in (2, 1, 0)]
    assert {one["target"] for one in first["acks"]["acks"]} >= {INCIDENT}
    again = Api(pipeline, tmp_path)
    again.start()
    try:
        eventually(again.ready, "ready again")
        assert answers(again) == first
        os.kill(again.pid, signal.SIGTERM)
        assert again.wait(seconds=30) == 0
    finally:
        again.kill()


def test_what_is_said_to_it_is_on_the_topics_and_commands_go_on_with_it(pipeline: Pipeline, api: Api) -> None:
    said_before = len(pipeline.read(topics.AUDIT))  # the other tests of this module, in any order
    body = {"deployment_id": "d1", "service": "shop", "version": "2"}
    assert api.post("deployments/start", body)[0] == 201
    assert api.post("deployments/start", body)[0] == 200
    assert pipeline.command("deployments", "move", "d1", "rolling", "--why", "go", "--by", "ci").returncode == 0
    eventually(lambda: api.get("/api/v1/deployments/d1")["deployment"]["state"] == "rolling", "the API knows")
    status, verdict = api.post("deployments/d1/validate", {})
    assert (status, verdict["verdict"], verdict["state"]) == (200, "inconclusive", "paused")
    assert "no data" in verdict["gates"][0]["reason"]
    assert api.post("deployments/d1/complete", {"why": "hope"})[0] == 409
    assert api.post("acks", {"target": FINGERPRINT, "why": "on it"})[0] == 201
    assert decode_control(pipeline.read(topics.CONTROL)[-1].value or b"") in newest_said(pipeline)
    entries = [decode_entry(record.value or b"") for record in pipeline.read(topics.AUDIT)[said_before:]]
    asked = [(one.path.rpartition("/")[2], one.by, one.status) for one in entries if one.status]
    assert asked == [
        *(("start", "local", 201), ("start", "local", 200), ("validate", "local", 200)),
        *(("complete", "local", 409), ("acks", "local", 201)),
    ]
    assert len({one.id for one in entries}) == len(asked) == len(entries) / 2
    shown = pipeline.command("deployments", "list").stdout
    assert "d1  shop 2 in production: paused" in shown
    eventually(lambda: api.get("/api/v1/deployments/d1")["deployment"]["state"] == "paused", "the API knows")


def test_dead_letters_are_counted_by_their_offsets(pipeline: Pipeline, api: Api) -> None:
    def counted(window: int) -> int:
        return int(api.get(f"/api/v1/monitoring/stats?window={window}")["pipeline"]["dead_letters"])

    before = counted(3600)
    pipeline.produce([Sent(topics.DEAD_LETTERS, f"k{number}".encode(), b"{") for number in range(7)])
    assert (counted(3600), counted(60)) == (before + 7, before + 7)


def test_events_come_as_they_happen(pipeline: Pipeline, api: Api) -> None:
    lines: list[str] = []
    ready = threading.Event()

    def follow() -> None:
        with httpx.stream("GET", f"{api.url}/api/v1/stream", timeout=60, trust_env=False) as answer:
            for line in answer.iter_lines():
                lines.append(line)
                ready.set()
                if line.startswith("data:"):
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    assert ready.wait(30)
    pipeline.produce([Sent(topics.ALERTS, b"n", encode_alert(alert(fingerprint="00" * 8, state="resolved")))])
    thread.join(60)
    assert "event: alert" in lines
    assert '"fingerprint":"0000000000000000"' in next(line for line in lines if line.startswith("data:"))


@pytest.fixture(scope="module")
def browser(api: Api) -> Iterator[Any]:
    """After ``api``: while Playwright is open its loop runs in this thread, and ``asyncio.run`` refuses to begin."""
    assert api.running
    install.install(install.BROWSER)
    with sync_playwright() as tools:
        made = tools.chromium.launch(executable_path=str(install.program("chromium")), args=FLAGS)
        yield made
        made.close()


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, api: Api) -> Iterator[Page]:
    width, height = request.param
    made: Page = browser.new_page(viewport={"width": width, "height": height})
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    made.goto(api.url)
    yield made
    assert problems == []
    made.close()


def shot(page: Page, tmp_path: Path, name: str) -> None:
    folder = Path(os.environ.get("STREAMS_TEST_SCREENSHOTS", tmp_path))
    width = (page.viewport_size or {"width": 0})["width"]
    page.screenshot(path=str(folder / f"{name}-{width}.png"))
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
        "it scrolls sideways"
    )


def test_from_the_incident_to_its_cause_to_a_trace(page: Page, tmp_path: Path) -> None:
    page.get_by_text("1 open incident", exact=True).wait_for()
    page.get_by_text("Likely cause: dependency contoso").wait_for()
    shot(page, tmp_path, "incidents")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_text("all callers fail (0.4)").wait_for()
    page.get_by_text("opened the incident").wait_for()
    shot(page, tmp_path, "incident")
    page.get_by_text("failed traces of what is affected").click()
    page.keyboard.press("3")
    page.get_by_role("row", name="planner").first.click()
    page.get_by_text("the critical path is outlined").wait_for()
    page.get_by_text("it broke").first.wait_for()
    shot(page, tmp_path, "trace")


def test_from_an_agent_to_its_traces_and_why_a_deployment_failed(page: Page, tmp_path: Path) -> None:
    page.get_by_text(re.compile("[0-9] open incident")).wait_for()
    page.keyboard.press("6")
    page.get_by_role("row", name="planner-1").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_text("figures of the last hour").wait_for()
    page.get_by_role("row", name="memory 20.0 MB").wait_for()
    shot(page, tmp_path, "agent")
    page.get_by_text("its traces").click()
    page.get_by_label("agent_id").wait_for()
    assert page.get_by_label("agent_id").input_value() == "planner-1"
    page.keyboard.press("7")
    page.get_by_role("row", name="shop 2").last.click()
    page.get_by_text("ratio 0.2 ratio, asked < 0.05").wait_for()
    page.get_by_text("roll back; judged").wait_for()
    page.get_by_text("verdict: fail").wait_for()
    shot(page, tmp_path, "deployment")


def test_from_an_agent_to_its_logs_to_the_trace_they_belong_to(page: Page, tmp_path: Path) -> None:
    page.get_by_text(re.compile("[0-9] open incident")).wait_for()
    page.goto(page.url.split("#")[0] + "#/agent/planner-1")
    page.get_by_text("its logs").click()
    page.get_by_role("row", name="call 0 failed").wait_for()
    assert page.get_by_label("agent_id").input_value() == "planner-1"
    page.keyboard.press("/")
    page.keyboard.type("1 call")
    page.keyboard.press("Enter")
    page.get_by_role("row", name="call 0 failed").wait_for(state="detached")
    page.get_by_label("severity").select_option("ERROR")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("nothing of the last day matches").wait_for()
    page.get_by_label("severity").select_option("WARN")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("row", name="call 1 failed").wait_for()
    shot(page, tmp_path, "logs")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_text("the critical path is outlined").wait_for()
    page.get_by_text("its logs").click()
    page.get_by_role("row", name="call 2 failed").wait_for()
    assert page.get_by_label("trace_id").input_value() == TRACE


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("2", "AgentErrorsHigh"),
        ("4", "after 900 windows; up to 1.7 would have been normal"),
        ("5", "planning"),
        ("6", "planner-1"),
        ("7", "shop 2"),
        ("8", "agent memory max"),
        ("9", "call 2 failed"),
    ],
)
def test_views_by_key(page: Page, tmp_path: Path, key: str, says: str) -> None:
    page.get_by_text(re.compile("[0-9] open incident")).wait_for()
    page.keyboard.press(key)
    page.locator("main").get_by_text(says).first.wait_for(state="attached")
    shot(page, tmp_path, f"view{key}")


def test_an_operator_takes_on_takes_out_merges_and_resolves(page: Page, pipeline: Pipeline, tmp_path: Path) -> None:
    page.get_by_text(re.compile("[0-9] open incident")).wait_for()
    digit = "1" if (page.viewport_size or {"width": 0})["width"] > 1000 else "2"
    name, stranger = digit * 16, f"b{digit}" * 8
    fires = Member(f"a{digit}" * 8, "AgentErrorsHigh", "high", "planning", "a1", 5, 0, "")
    members = (fires, Member(stranger, "AgentMemoryHigh", "high", "other", "a2", 6, 0, "chance", "symptom", ""))
    made = incident(incident_id=name, title=f"night {digit}", members=members, causes=())
    apart(pipeline.produce, [Sent(topics.INCIDENTS, name.encode(), encode_incident(made))])
    page.get_by_text(f"night {digit}").click()
    page.get_by_role("cell", name="symptom").wait_for()
    shot(page, tmp_path, "actions")

    def say(why: str) -> None:
        page.get_by_label("Why").fill(why)
        page.get_by_role("button", name="Do it").click()
        page.get_by_text("said by local, it is on its way").wait_for()
        page.evaluate("notice.textContent = ''")

    page.keyboard.press("a")
    page.get_by_label("No notifications").select_option("one hour")
    page.get_by_label("Was it worth telling?").select_option("useful")
    shot(page, tmp_path, "dialog")
    say("mine")
    page.get_by_role("button", name="AgentMemoryHigh of other does not belong here").click()
    say("another team")
    page.get_by_role("button", name="Merge into another").click()
    page.get_by_label("The other").select_option("planning fails")
    say("the same")
    page.get_by_role("button", name="Cancel").wait_for(state="detached")
    known = newest_said(pipeline)
    ack = next(one for one in known if isinstance(one, Ack) and one.target == name)
    assert (ack.by, ack.why, ack.verdict, ack.until_ns - ack.at_ns) == ("local", "mine", "useful", 3600 * 10**9)
    parted = next(one for one in known if isinstance(one, Unlink) and one.incident_id == name)
    assert (parted.fingerprint, parted.why) == (stranger, "another team")
    assert [one.into for one in known if isinstance(one, Close) and one.incident_id == name] == [INCIDENT]
    page.get_by_role("button", name="Resolve").click()
    say("it is over")
    closed = next(one for one in newest_said(pipeline) if isinstance(one, Close) and one.incident_id == name)
    assert (closed.into, closed.why) == ("", "it is over")
    over = replace(made, status="resolved", revision=8, resolved_at_ns=9)
    apart(pipeline.produce, [Sent(topics.INCIDENTS, name.encode(), encode_incident(over))])
