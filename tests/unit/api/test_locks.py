"""What stands before every route: rates, sizes, other sites' pages, the record of who asked for a change."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from benchmarks.apiworld import BoardLedger
from streams.api.board.writer import BoardWriter
from streams.api.context import Context
from streams.api.locks import MAX_CALLERS, SECURITY, Buckets, is_loopback
from streams.api.server import make_app
from streams.api.tokens import read_tokens
from streams.domain.audit import Entry, decode_entry, encode_entry
from streams.settings import Settings

SECOND = 10**9
ACK = {"target": "ab" * 8, "why": "on it"}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    board = tmp_path / "board.sqlite3"
    BoardWriter(board).close()
    settings = Settings(api_store_path=board, api_requests_per_second=2, api_body_bytes=1_024)
    return Context(settings, (), lambda: 100 * SECOND, BoardLedger(board))


@pytest.fixture
def client(context: Context) -> Iterator[TestClient]:
    with TestClient(make_app(context), "http://localhost", raise_server_exceptions=False) as made:
        yield made


def with_tokens(context: Context) -> dict[str, dict[str, str]]:
    """Scope -> headers."""
    scopes = ("read", "operate")
    lines = [f"{scope}-name {scope} {hashlib.sha256(scope.encode()).hexdigest()}" for scope in scopes]
    context.tokens = read_tokens(lines, "tokens")
    return {scope: {"Authorization": f"Bearer {scope}"} for scope in scopes}


def audit(context: Context) -> list[Entry]:
    ledger = context.ledger
    assert isinstance(ledger, BoardLedger)
    return ledger.audit


def test_a_bucket_holds_a_burst_and_fills_again() -> None:
    buckets = Buckets(2.0)
    assert [buckets.wait_seconds("a", 0) for _ in range(10)] == [0.0] * 10
    assert buckets.wait_seconds("a", 0) == 0.5
    assert buckets.wait_seconds("b", 0) == 0.0, "another's is full"
    assert buckets.wait_seconds("a", SECOND // 4) == 0.25
    assert buckets.wait_seconds("a", SECOND // 2) == 0.0
    assert buckets.wait_seconds("a", 0) == 0.5, "time that goes back gives nothing"
    assert [buckets.wait_seconds("a", 3600 * SECOND) for _ in range(11)].count(0.0) == 10, "no more than the burst"


def test_buckets_are_bounded() -> None:
    buckets = Buckets(1.0)
    for number in range(MAX_CALLERS + 5):
        buckets.wait_seconds(str(number), 0)
    assert len(buckets._left) == MAX_CALLERS
    assert "4" not in buckets._left


def test_too_many_requests_of_one_token(client: TestClient, context: Context) -> None:
    headers = with_tokens(context)
    statuses = [client.get("/api/v1/alerts", headers=headers["read"]).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    answer = client.get("/api/v1/alerts", headers=headers["read"])
    assert (answer.headers["retry-after"], answer.json()["status"]) == ("1", 429)
    assert client.get("/api/v1/alerts", headers=headers["operate"]).status_code == 200
    assert [client.get("/api/v1/alerts").status_code for _ in range(11)] == [401] * 10 + [429], (
        "guessing has a rate too"
    )
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_are_refused(client: TestClient, context: Context, *, chunked: bool) -> None:
    body = b'{"target": "' + b"x" * 1_024
    content: Any = iter([body[:600], body[600:]]) if chunked else body
    answer = client.post("/api/v1/acks", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert audit(context) == []


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "٣"])
def test_a_length_that_is_none(client: TestClient, length: str) -> None:
    headers = {"Content-Length": length.encode(), "Content-Type": b"application/json"}
    assert client.post("/api/v1/acks", content=b"{}", headers=headers).status_code == 413  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 403), ("[", 403), ("", 403)],
)
def test_without_tokens_only_names_of_this_machine(client: TestClient, host: str, status: int) -> None:
    """A name of somebody else that leads here (DNS rebinding) would let his page read."""
    for path in ("/api/v1/alerts", "/"):
        assert client.get(path, headers={"Host": host}).status_code == status


def test_another_sites_page_may_not_write(client: TestClient, context: Context) -> None:
    other = {"Origin": "http://evil.example"}
    assert client.post("/api/v1/acks", json=ACK, headers=other).status_code == 403
    assert client.get("/api/v1/acks", headers=other).status_code == 200, "its browser does not let it read the answer"
    assert client.post("/api/v1/acks", json=ACK, headers={"Origin": "http://localhost"}).status_code == 201
    text = client.post("/api/v1/acks", content=b"{}", headers={"Content-Type": "text/plain"})
    assert text.status_code == 422, "a form of another page cannot say JSON"
    with_tokens(context)
    assert client.get("/api/v1/alerts", headers={"Host": "streams.example"}).status_code == 401


def test_a_change_is_on_record_before_and_after(client: TestClient, context: Context) -> None:
    headers = with_tokens(context)
    answer = client.post("/api/v1/acks?x=1", json=ACK, headers=headers["operate"])
    before, after = audit(context)
    assert (before.status, after.status, before.id, after.id) == (None, 201, *[answer.headers["x-request-id"]] * 2)
    assert (before.by, before.scope, before.address) == ("operate-name", "operate", "testclient")
    assert (before.method, before.path, before.query) == ("POST", "/api/v1/acks", "x=1")
    assert '"why":"on it"' in before.body
    assert client.post("/api/v1/acks", json=ACK, headers=headers["read"]).status_code == 403
    assert client.delete("/api/v1/acks/0000000000000000?why=x", headers=headers["operate"]).status_code == 404
    assert [one.status for one in audit(context)[2:]] == [None, 403, None, 404]
    assert client.post("/api/v1/acks", json=ACK).status_code == 401
    assert client.get("/api/v1/acks", headers=headers["read"]).status_code == 200
    assert len(audit(context)) == 6, "neither reading nor who is nobody"


def test_what_cannot_be_put_on_record_is_not_done(
    client: TestClient, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = context.ledger
    assert isinstance(ledger, BoardLedger)
    ledger.broken = True
    answer = client.post("/api/v1/acks", json=ACK)
    assert (answer.status_code, "not on record" in answer.json()["detail"]) == (503, True)
    assert ledger.written == []
    ledger.broken = False

    def break_it(*_: Any, **__: Any) -> None:
        ledger.broken = True

    ledger.show = break_it
    with caplog.at_level(logging.WARNING):
        assert client.post("/api/v1/acks", json=ACK).status_code == 201
    assert "is not on record" in caplog.text


def test_an_error_of_ours_is_a_problem_and_on_record(client: TestClient, context: Context) -> None:
    context.ledger.newest = None  # type: ignore[assignment,method-assign]
    answer = client.post("/api/v1/deployments/d/complete", json={"why": "x"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert [one.status for one in audit(context)] == [None, 500]


def test_every_answer_has_the_headers(client: TestClient) -> None:
    for path in ("/", "/api/v1/alerts", "/none", "/health/live"):
        headers = client.get(path).headers
        assert {name: headers[name] for name in SECURITY} == SECURITY, path
    refused = client.get("/", headers={"Host": "evil.example"}).headers
    assert {name: refused[name] for name in SECURITY} == SECURITY


def test_a_record_comes_back_and_anything_else_is_refused() -> None:
    entry = Entry("1", 2, "ann", "operate", "::1", "POST", "/api/v1/acks", "", "{}", 201)
    assert decode_entry(encode_entry(entry)) == entry
    for value in (b"[]", b"{}", b'{"schema":"agents.audit/1"}', b"x"):
        with pytest.raises(ValueError):  # noqa: PT011 - of any kind
            decode_entry(value)


@pytest.mark.parametrize(
    ("host", "own"), [("localhost", True), ("127.8.9.1", True), ("::1", True), ("10.0.0.1", False)]
)
def test_own_names(host: str, *, own: bool) -> None:
    assert is_loopback(host) is own
