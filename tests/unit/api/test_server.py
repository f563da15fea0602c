"""The API without a broker: answers, errors, who may ask, headers, the description and what it promises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents_emitter.events import encode_log_batch
from agents_emitter.redaction import Redactor
from benchmarks.apiworld import BoardLedger, deployment, pinned, unfilled, unheard
from streams import topics
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import BoardWriter, Fetched
from streams.api.context import Context
from streams.api.locks import SECURITY
from streams.api.logs.writer import LogWriter
from streams.api.server import make_app, make_context
from streams.api.tokens import allows, owner, read_tokens
from streams.api.tracewriter import Fetched as FetchedTrace
from streams.api.tracewriter import TraceWriter
from streams.domain.alert import encode_alert
from streams.domain.baseline import encode_pinned
from streams.domain.deployment import encode_deployment
from streams.domain.incident import encode_incident
from streams.domain.trace import encode_trace
from streams.domain.window import encode_window_batch
from streams.errors import ConfigurationError
from streams.settings import Settings
from tests.unit.gate.windows import series, window
from tests.unit.subscribe.drawing import SECOND, alert, incident
from tests.unit.trace.drawing import span
from tests.unit.trace.reference import trace_record

FINGERPRINT, INCIDENT, TRACE = "ab" * 8, "cd" * 8, "ef" * 16
AGENT = "shop/planner-1"
SECRETS = {scope: f"secret-of-{scope}" for scope in ("read", "operate", "deploy", "admin")}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("api")
    board, traces = BoardWriter(folder / "board.sqlite3"), TraceWriter(folder / "traces.sqlite3", topics.TRACES)
    one = encode_alert(alert(fingerprint=FINGERPRINT))
    other = encode_incident(incident(incident_id=INCIDENT))
    board.write([Fetched(topics.ALERTS, 0, 0, 5_000, one), Fetched(topics.INCIDENTS, 0, 0, 6_000, other)])
    board.write([Fetched(topics.DEPLOYMENTS, 0, 0, 6_000, encode_deployment(deployment("shop-1")))])
    spans = [span("r", 0, 50, trace=TRACE), span("c", 1, 20, "r", trace=TRACE, error="no")]
    traces.write([FetchedTrace(0, 0, encode_trace(trace_record(TRACE, spans)))])
    agents = AgentWriter(folder / "board-agents.sqlite3", 10.0)
    rows = [(series("agents.memory", "2", "shop", **{"agent.id": AGENT}), [1e6])]
    agents.write([Fetched(topics.WINDOWS, 0, 0, 6_000, encode_window_batch(window(9, rows)))])
    agents.close()
    logs = LogWriter(folder / "board-logs.sqlite3", Redactor())
    row = {"timeUnixNano": 6 * SECOND, "severityNumber": 13, "body": "model call failed", "traceId": TRACE}
    logs.write(
        [Fetched(topics.LOGS, 0, 0, 6_000, encode_log_batch({"service.name": "shop"}, [row], producer="p", seq=0))]
    )
    logs.close()
    board.close()
    traces.close()
    return folder / "board.sqlite3", folder / "traces.sqlite3"


def client_of(files: tuple[Path, Path], tokens: str = "") -> TestClient:
    lines = (
        [f"{scope} {scope} {hashlib.sha256(s.encode()).hexdigest()}" for scope, s in SECRETS.items()] if tokens else []
    )
    settings = Settings(
        brokers="127.0.0.1:1", api_requests_per_second=1e5, api_store_path=files[0], trace_store_path=files[1]
    )
    ledger = BoardLedger(files[0])
    ledger.written.append((topics.BASELINES, pinned().key, encode_pinned(pinned())))
    context = Context(
        settings, read_tokens(lines, "tokens"), lambda: 100 * SECOND, ledger, fill=unfilled, rehearse=unheard
    )
    return TestClient(make_app(context), "http://127.0.0.1:8180", raise_server_exceptions=False)


@pytest.fixture
def client(files: tuple[Path, Path]) -> Iterator[TestClient]:
    with client_of(files) as made:
        yield made


NAMES = {"{fingerprint}": FINGERPRINT, "{incident_id}": INCIDENT, "{trace_id}": TRACE, "{deployment_id}": "shop-1"}
NAMES |= {"{agent_id}": AGENT, "{target}": FINGERPRINT, "{name}": "AgentMemoryHigh"}
NAMES |= {"{profile}": "pinned", "{service}": "shop"}
PATHS = (
    "/api/v1/alerts",
    f"/api/v1/alerts/{FINGERPRINT}",
    "/api/v1/incidents",
    f"/api/v1/incidents/{INCIDENT}",
    "/api/v1/anomalies",
    "/api/v1/topology",
    "/api/v1/monitoring/stats",
    "/api/v1/logs",
    "/api/v1/traces",
    f"/api/v1/traces/{TRACE}",
    "/api/v1/traces/stats",
    "/api/v1/traces/analysis",
    "/api/v1/monitoring/agents",
    f"/api/v1/monitoring/agents/{AGENT}",
    "/api/v1/system/metrics/health",
    "/api/v1/acks",
    "/api/v1/maintenance",
    "/api/v1/rules",
    "/api/v1/rules/AgentMemoryHigh",
    "/api/v1/performance-gates",
    "/api/v1/baselines",
    "/api/v1/baselines/pinned/shop",
    "/api/v1/deployments/history",
    "/api/v1/deployments/statistics",
    "/api/v1/deployments/shop-1",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_says_when_and_how_fresh(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["as_of"], body["newest_record"], body["partial"]) == (
        "1970-01-01T00:01:40.000Z",
        "1970-01-01T00:00:06.000Z",
        False,
    )
    assert {name: answer.headers[name.lower()] for name in SECURITY} == SECURITY


def test_what_is_in_them(client: TestClient) -> None:
    assert client.get("/api/v1/alerts").json()["alerts"][0]["alertname"] == "AgentErrorsHigh"
    assert client.get("/api/v1/incidents?status=open").json()["incidents"][0]["title"] == "planning fails"
    assert client.get("/api/v1/incidents?status=resolved").json()["incidents"] == []
    (one,) = client.get("/api/v1/monitoring/agents").json()["agents"]
    assert (one["agent_id"], one["status"], one["memory_bytes"], one["alerts_firing"]) == (AGENT, "alive", 1e6, 0)
    (pane,) = client.get(f"/api/v1/monitoring/agents/{AGENT}").json()["panes"]
    assert (pane["start"], pane["memory_bytes"]) == ("1970-01-01T00:01:30.000Z", 1e6)
    (log,) = client.get(f"/api/v1/logs?text=failed&severity=WARN&trace_id={TRACE}").json()["logs"]
    assert (log["time"], log["severity"], log["body"]) == ("1970-01-01T00:00:06.000Z", "WARN", "model call failed")
    (trace,) = client.get("/api/v1/traces?status=error").json()["traces"]
    assert (trace["trace_id"], trace["span_count"], trace["duration_ms"]) == (TRACE, 2, 50.0)
    figures = client.get("/api/v1/traces/stats?window=86400").json()
    assert (figures["traces"], figures["failed"], figures["p95_seconds"], figures["cut"]) == (1, 1, 0.05, False)
    whole = client.get(f"/api/v1/traces/{TRACE}").json()["trace"]
    assert [one["spanId"] for one in whole["spans"]] == ["r", "c"]
    assert client.get("/api/v1/monitoring/stats").json()["incidents_open"] == {"high": 1}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/v1/alerts/{'0' * 16}", 404),
        ("/api/v1/alerts/short", 422),
        (f"/api/v1/incidents/{'0' * 16}", 404),
        (f"/api/v1/traces/{'0' * 32}", 404),
        ("/api/v1/monitoring/agents/none", 404),
        ("/api/v1/monitoring/agents?window=7", 422),
        ("/api/v1/monitoring/agents?sort=name", 422),
        ("/api/v1/monitoring/agents?window=x", 422),
        ("/api/v1/monitoring/agents?window=60&sort=steps", 200),
        (f"/api/v1/monitoring/agents/{AGENT}?window=3600", 200),
        ("/api/v1/monitoring/agents?cursor=zz", 422),
        ("/api/v1/monitoring/agents?sort=steps&window=3600", 422),
        ("/api/v1/traces/xyz", 422),
        ("/api/v1/alerts?limit=0", 422),
        ("/api/v1/alerts?limit=1001", 422),
        ("/api/v1/alerts?cursor=zz", 422),
        ("/api/v1/traces?cursor=zz", 422),
        ("/api/v1/traces?pattern=spiral", 422),
        ("/api/v1/traces?text=%20%E3%80%80", 200),
        ("/api/v1/traces?text=a%00b", 200),
        ("/api/v1/traces?cursor=9223372036854775808-1", 422),
        ("/api/v1/incidents?status=sad", 422),
        ("/api/v1/nothing", 404),
        ("/health/ready", 200),
        ("/health/live", 200),
    ],
)
def test_errors_are_problems(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_without_read_models_it_says_so(tmp_path: Path) -> None:
    with client_of((tmp_path / "none", tmp_path / "none")) as client:
        for path in ("/api/v1/alerts", "/api/v1/traces"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "retry-after" in answer.headers


WRITERS = {"control": {"operate", "admin"}, "deployments": {"deploy", "admin"}, "baselines": {"deploy", "admin"}}
WRITERS["rules"] = WRITERS["control"]
"""By the tag of a route: who may write there. Reading is allowed to all."""


def operations(client: TestClient) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every route but health: method, path with real names, tag, body."""
    for path, described in client.get("/api/openapi.json").json()["paths"].items():
        for method, operation in described.items():
            if not path.startswith("/health"):
                real = path
                for name, value in NAMES.items():
                    real = real.replace(name, value)
                yield method.upper(), real, operation["tags"][0], body_of(client, operation)


def body_of(client: TestClient, operation: dict[str, Any]) -> dict[str, Any]:
    """The body's example in the description; {} where there is none."""
    if "requestBody" not in operation:
        return {}
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    found: dict[str, Any] = client.get("/api/openapi.json").json()["components"]["schemas"][name]["examples"][0]
    return found


def test_every_route_and_every_scope(files: tuple[Path, Path]) -> None:
    """What stands in the description needs a token, but health; reading is allowed to all scopes, writing to some."""
    with client_of(files, "tokens") as client:
        routes = list(operations(client))
        assert {path for method, path, *_ in routes if method == "GET"} == {*PATHS, "/api/v1/stream"}
        for method, path, tag, body in routes:
            given = {} if method == "GET" else {"json": body}
            for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRETS['read']}"}):
                assert client.request(method, path, headers=wrong, **given).status_code == 401, (method, path)
            if path == "/api/v1/stream":
                continue
            for scope, secret in SECRETS.items():
                may = method == "GET" or scope in WRITERS[tag]
                status = client.request(
                    method, path, params={"why": "x"}, headers={"Authorization": f"Bearer {secret}"}, **given
                ).status_code
                assert (status != 403) == may, (method, path, scope, status)
                assert status in ({200, 201, 202, 204, 404, 409} if may else {403}), (method, path, scope, status)
        assert client.get("/health/live").status_code == 200
        assert client.get("/").status_code == 200


def test_tokens_are_hashed_and_scoped() -> None:
    digest = hashlib.sha256(b"s3cret").hexdigest()
    tokens = read_tokens(["# ci", "", f"ci deploy {digest}"], "file")
    found = owner(tokens, "s3cret")
    assert found is not None
    assert [allows(found, scope) for scope in ("read", "operate", "deploy", "admin")] == [True, False, True, False]
    assert owner(tokens, "s3cre") is None
    for line in ("ci deploy", f"ci root {digest}", "ci read abcd", "ci read zz"):
        with pytest.raises(ConfigurationError, match="file: line 1") as caught:
            read_tokens([line], "file")
        assert digest not in str(caught.value)


def test_it_does_not_listen_to_others_without_tokens(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="STREAMS_API_TOKENS_FILE"):
        make_context(Settings(api_host="0.0.0.0"), lambda: 0)
    path = tmp_path / "tokens"
    path.write_text(f"ops admin {hashlib.sha256(b'x').hexdigest()}\n")
    assert make_context(Settings(api_host="0.0.0.0", api_tokens_file=str(path)), lambda: 0).tokens
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        make_context(Settings(api_tokens_file=str(tmp_path / "none")), lambda: 0)


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/page.js", "/actions.js", "/operations.js", "/logs.js", "/page.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "https://" not in answer.text
        assert "innerHTML" not in answer.text
