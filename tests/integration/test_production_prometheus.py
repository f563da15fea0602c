"""monitoring/prometheus/production.yml and tls/web.yml in a real Prometheus, by the command of OPERATIONS.md."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from streams.services import install, ports

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0
pytestmark = pytest.mark.integration


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def certificates(folder: Path) -> None:
    """An authority, and a server's and a client's certificate of it."""
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=tests")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(folder, "req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")


def command(port: int) -> list[str]:
    (block,) = re.findall(r"```\n(prometheus --config.+?)\n```", (ROOT / "docs/OPERATIONS.md").read_text(), re.DOTALL)
    words = block.replace("\\\n", " ").replace("127.0.0.1:9090", f"127.0.0.1:{port}").split()
    return [str(install.program(words[0])), *words[1:]]


def trusting(folder: Path, *, known: bool) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    if known:
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
    return httpx.Client(verify=context, trust_env=False, timeout=5.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a Prometheus as in production, and the folder of its certificates."""
    monitoring = tmp_path_factory.mktemp("production") / "monitoring"
    shutil.copytree(ROOT / "monitoring", monitoring)
    folder, port = monitoring / "prometheus", ports.free_port()
    configuration = folder / "production.yml"
    text = configuration.read_text().replace("127.0.0.1:9090", f"127.0.0.1:{port}").replace(": 15s", ": 1s")
    configuration.write_text(text.replace("scrape_timeout: 10s", "scrape_timeout: 1s"))
    certificates(folder / "tls")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(port), cwd=folder, stdout=log, stderr=log)
        try:
            yield f"127.0.0.1:{port}", folder / "tls"
        finally:
            process.terminate()
            process.wait(20)


def answer(address: str, tls: Path, path: str, wanted: Any) -> Any:
    """The answer to who has a certificate, once it is as wanted."""
    deadline, seen = time.monotonic() + DEADLINE_SECONDS, None
    with trusting(tls, known=True) as client:
        while time.monotonic() < deadline:
            try:
                seen = client.get(f"https://{address}{path}").json()["data"]
            except (httpx.HTTPError, ValueError) as error:
                seen = error
            else:
                if wanted(seen):
                    return seen
            time.sleep(0.1)
    raise AssertionError(f"{path}: {seen}; {(tls.parent / 'log').read_text()[-2000:]}")


def test_it_starts_scrapes_itself_by_tls_and_has_all_rules(served: tuple[str, Path]) -> None:
    query = "/api/v1/query?query=up{job='prometheus'}"
    answer(*served, query, lambda data: [r["value"][1] for r in data["result"]] == ["1"])
    groups = answer(*served, "/api/v1/rules", lambda data: data["groups"])["groups"]
    shipped = [yaml.safe_load(path.read_text())["groups"] for path in (ROOT / "monitoring/rules").glob("*.yml")]
    assert len(groups) == sum(map(len, shipped))
    flags = answer(*served, "/api/v1/status/flags", bool)
    assert flags["storage.tsdb.retention.time"] == "15d"
    assert flags["web.enable-lifecycle"] == flags["web.enable-admin-api"] == "false"


def test_nobody_is_answered_without_a_certificate(served: tuple[str, Path]) -> None:
    address, tls = served
    answer(address, tls, "/api/v1/status/buildinfo", bool)
    with trusting(tls, known=False) as client, pytest.raises(httpx.TransportError):
        client.get(f"https://{address}/-/ready")
    plain = httpx.get(f"http://{address}/-/ready", trust_env=False)
    assert plain.status_code == 400


def test_promtool_takes_both_with_the_certificates_in_place(served: tuple[str, Path]) -> None:
    _, tls = served
    for what, file in (("config", tls.parent / "production.yml"), ("web-config", tls / "web.yml")):
        done = subprocess.run(["promtool", "check", what, file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_it_scrapes_what_the_other_configuration_scrapes() -> None:
    def jobs(name: str) -> dict[str, Any]:
        body = yaml.safe_load((ROOT / "monitoring/prometheus" / name).read_text())
        return {job["job_name"]: job for job in body["scrape_configs"]}

    here, there = jobs("production.yml"), jobs("prometheus.yml")
    assert set(here) == set(there)
    for name in here:
        for key in ("static_configs", "honor_labels"):
            assert here[name].get(key) == there[name].get(key)
        for ours, theirs in zip(
            here[name].get("dns_sd_configs", ()), there[name].get("dns_sd_configs", ()), strict=True
        ):
            assert (ours["names"], ours["port"]) == (theirs["names"], theirs["port"])
