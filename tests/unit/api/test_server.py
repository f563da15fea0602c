"""The API without a broker: answers, errors, who may ask, headers, the description and what it promises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from streams import topics
from streams.api.board.writer import BoardWriter, Fetched
from streams.api.context import Context
from streams.api.server import SECURITY, make_app, make_context
from streams.api.tokens import allows, owner, read_tokens
from streams.api.tracewriter import Fetched as FetchedTrace
from streams.api.tracewriter import TraceWriter
from streams.domain.alert import encode_alert
from streams.domain.incident import encode_incident
from streams.domain.trace import encode_trace
from streams.errors import ConfigurationError
from streams.settings import Settings
from tests.unit.subscribe.drawing import SECOND, alert, incident
from tests.unit.trace.drawing import span
from tests.unit.trace.reference import trace_record

FINGERPRINT, INCIDENT, TRACE = "ab" * 8, "cd" * 8, "ef" * 16
SECRETS = {scope: f"secret-of-{scope}" for scope in ("read", "operate", "deploy", "admin")}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("api")
    board, traces = BoardWriter(folder / "board.sqlite3"), TraceWriter(folder / "traces.sqlite3", topics.TRACES)
    one = encode_alert(alert(fingerprint=FINGERPRINT))
    other = encode_incident(incident(incident_id=INCIDENT))
    board.write([Fetched(topics.ALERTS, 0, 0, 5_000, one), Fetched(topics.INCIDENTS, 0, 0, 6_000, other)])
    spans = [span("r", 0, 50, trace=TRACE), span("c", 1, 20, "r", trace=TRACE, error="no")]
    traces.write([FetchedTrace(0, 0, encode_trace(trace_record(TRACE, spans)))])
    board.close()
    traces.close()
    return folder / "board.sqlite3", folder / "traces.sqlite3"


def client_of(files: tuple[Path, Path], tokens: str = "") -> TestClient:
    lines = (
        [f"{scope} {scope} {hashlib.sha256(s.encode()).hexdigest()}" for scope, s in SECRETS.items()] if tokens else []
    )
    context = Context("127.0.0.1:1", *files, read_tokens(lines, "tokens"), lambda: 100 * SECOND)
    return TestClient(make_app(context), raise_server_exceptions=False)


@pytest.fixture
def client(files: tuple[Path, Path]) -> Iterator[TestClient]:
    with client_of(files) as made:
        yield made


PATHS = (
    "/api/v1/alerts",
    f"/api/v1/alerts/{FINGERPRINT}",
    "/api/v1/incidents",
    f"/api/v1/incidents/{INCIDENT}",
    "/api/v1/anomalies",
    "/api/v1/topology",
    "/api/v1/monitoring/stats",
    "/api/v1/traces",
    f"/api/v1/traces/{TRACE}",
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
    (trace,) = client.get("/api/v1/traces?status=error").json()["traces"]
    assert (trace["trace_id"], trace["span_count"], trace["duration_ms"]) == (TRACE, 2, 50.0)
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
        ("/api/v1/traces/xyz", 422),
        ("/api/v1/alerts?limit=0", 422),
        ("/api/v1/alerts?limit=1001", 422),
        ("/api/v1/alerts?cursor=zz", 422),
        ("/api/v1/traces?cursor=zz", 422),
        ("/api/v1/traces?pattern=spiral", 422),
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


def test_every_route_and_every_scope(files: tuple[Path, Path]) -> None:
    """What stands in the description needs a token, but health; reading is allowed to all scopes."""
    with client_of(files, "tokens") as client:
        routes = client.get("/api/openapi.json").json()["paths"]
        assert {path for path in routes if not path.startswith("/health")} == {
            *(
                p.replace(FINGERPRINT, "{fingerprint}").replace(INCIDENT, "{incident_id}").replace(TRACE, "{trace_id}")
                for p in PATHS
            ),
            "/api/v1/stream",
        }
        for path in (*PATHS, "/api/v1/stream"):
            assert client.get(path).status_code == 401, path
            assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401, path
            assert client.get(path, headers={"Authorization": f"Basic {SECRETS['read']}"}).status_code == 401, path
        for path in PATHS:
            for secret in SECRETS.values():
                assert client.get(path, headers={"Authorization": f"Bearer {secret}"}).status_code == 200, path
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
    for path in ("/", "/page.js", "/page.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "https://" not in answer.text
    assert "innerHTML" not in client.get("/page.js").text
