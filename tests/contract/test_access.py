"""A real Alertmanager that wants TLS, a certificate of ours, and a password; and a proxy's bearer token."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from streams.errors import ConfigurationError
from streams.publish.access import Access
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from streams.services.alertmanager import AlertmanagerService
from tests.unit.publish.builders import CountedStats, transition

USER, PASSWORD = "streams", "open sesame"
BCRYPT = "$2b$04$xxbgRr2hnLUqmlm0ZW4nd.ldoAllHt28QuqLPNEt9IW4utX7sdnFy"
DEADLINE_SECONDS = 20.0


class Papers:
    """An authority, and certificates by it for the server and for us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        openssl(
            folder,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority "
            "-keyout ca.key -out ca.pem",
        )
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        for name in ("server", "us"):
            openssl(
                folder,
                f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} "
                f"-keyout {name}.key -out {name}.csr",
            )
            openssl(
                folder,
                f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
                f"-extfile names -out {name}.pem",
            )
        (folder / "password").write_text(PASSWORD)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def access(self, **changes: str) -> Access:
        """All that the server wants, with changes."""
        every = {
            "ca_file": self.path("ca.pem"),
            "cert_file": self.path("us.pem"),
            "key_file": self.path("us.key"),
            "user": USER,
            "password_file": self.path("password"),
        }
        return Access(**{**every, **changes})


def openssl(folder: Path, arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments.split()], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Guarded(AlertmanagerService):
    """Alertmanager behind its own web configuration."""

    def __init__(self, folder: Path, papers: Papers) -> None:
        super().__init__(folder)
        self.papers = papers
        self.url = self.url.replace("http://", "https://")

    def _prepare(self) -> None:
        super()._prepare()
        tls = {
            "cert_file": self.papers.path("server.pem"),
            "key_file": self.papers.path("server.key"),
            "client_ca_file": self.papers.path("ca.pem"),
            "client_auth_type": "RequireAndVerifyClientCert",
        }
        web = {"tls_server_config": tls, "basic_auth_users": {USER: BCRYPT}}
        (self.folder / "web.yml").write_text(yaml.safe_dump(web))

    def _command(self) -> Sequence[str | Path]:
        return (*super()._command(), "--web.config.file=web.yml")

    def get(self, path: str) -> httpx.Response:
        access = self.papers.access()
        with httpx.Client(verify=access.context(), auth=access.auth(), trust_env=False) as client:
            return client.get(self.url + path)

    def _ready(self) -> bool:
        try:
            return self.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def alerts(self) -> list[dict[str, Any]]:
        return list(self.get("/api/v2/alerts").json())


async def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.05)


def test_a_guarded_alertmanager_takes_alerts_from_who_has_all_it_wants_and_from_nobody_else(
    tmp_path: Path, monitoring_packages: None
) -> None:
    papers = Papers(tmp_path)
    wrong = tmp_path / "wrong"
    wrong.write_text("open barley")

    async def codes(server: Guarded, access: Access, wanted: str) -> None:
        """Posts until the answer is as wanted."""
        stats = CountedStats()
        settings = AlertmanagerSettings(backoff_seconds=(0.02, 0.1), drain_seconds=0.0, access=access)
        publisher = AlertmanagerPublisher([server.url], clock_ns=time.time_ns, stats=stats, settings=settings)
        await publisher.start()
        try:
            publisher.update(transition(starts_at_ns=time.time_ns()))
            await until(lambda: stats.codes[wanted])
            assert set(stats.codes) == {wanted}
        finally:
            await publisher.stop()

    with Guarded(tmp_path / "alertmanager", papers) as server:
        asyncio.run(codes(server, papers.access(password_file=str(wrong)), "401"))
        asyncio.run(codes(server, papers.access(user="", password_file=""), "401"))
        asyncio.run(codes(server, papers.access(cert_file="", key_file=""), "unreachable"))
        asyncio.run(codes(server, papers.access(ca_file=""), "unreachable"))
        assert server.alerts() == []
        asyncio.run(codes(server, papers.access(), "200"))
        assert [alert["labels"]["alertname"] for alert in server.alerts()] == ["StepsFail"]


def test_a_bearer_token_goes_with_posts_and_questions(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def proxy(request: httpx.Request) -> httpx.Response:
        seen[request.method] = request.headers.get("Authorization", "")
        return httpx.Response(200, json=[])

    token = tmp_path / "token"
    token.write_text("abc\n")

    async def scenario() -> None:
        settings = AlertmanagerSettings(reconcile_seconds=0.05, access=Access(token_file=str(token)))
        publisher = AlertmanagerPublisher(
            ["http://proxy"],
            clock_ns=time.time_ns,
            stats=CountedStats(),
            settings=settings,
            transport=httpx.MockTransport(proxy),
        )
        await publisher.start()
        publisher.update(transition())
        await until(lambda: set(seen) == {"GET", "POST"})
        await publisher.stop()

    asyncio.run(scenario())
    assert set(seen.values()) == {"Bearer abc"}


@pytest.mark.parametrize("url", ["http://user:secret@a:9093", "http://user@a"])
def test_a_password_in_an_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        AlertmanagerPublisher([url], clock_ns=time.time_ns, stats=CountedStats())
    assert "secret" not in str(refused.value)
