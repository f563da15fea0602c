"""Toxiproxy between the broker and everybody: latency, resets, connections on which nothing comes through."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx

from streams.errors import DependencyMissing
from streams.services import ports
from streams.services.process import launched
from streams.services.service import Service

MODULE: Final = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"
_BUILD_SECONDS: Final = 300.0
_GO_PLACES: Final = ("/usr/local/go/bin", "/usr/lib/go/bin")

TOXICS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "latency": [
        {"type": "latency", "stream": s, "attributes": {"latency": 250, "jitter": 200}}
        for s in ("upstream", "downstream")
    ],
    "reset": [{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 300}}],
    "half-open": [{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}],
}
"""By name: what is done to connections. Half-open: what the broker answers is not delivered, nothing is closed."""


def program(cache_folder: Path) -> Path:
    """The server, built from its Go module on first use (20 s).

    Raises:
        DependencyMissing: there is no Go here, or the module could not be built.
    """
    folder = cache_folder / "toxiproxy-2.5.0"
    if not (folder / "server").exists():
        go = shutil.which("go") or shutil.which("go", path=os.pathsep.join(_GO_PLACES))
        if go is None:
            raise DependencyMissing("no Go to build toxiproxy with")
        variables = {"GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
        command = launched([go, "install", MODULE], variables)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
        if done.returncode != 0:
            raise DependencyMissing(f"toxiproxy could not be built: {done.stderr[-500:]}")
    return folder / "server"


class ProxyService(Service):
    """A toxiproxy server with one proxy, ``kafka``.

    Args:
        folder: its work folder.
        server: the program (:func:`program`).
        listen: the port that clients use. upstream: the broker's own port.
    """

    name: ClassVar[str] = "toxiproxy"

    def __init__(self, folder: Path, *, server: Path, listen: int, upstream: int) -> None:
        super().__init__(folder)
        self.listen, self._upstream, self._server = listen, upstream, server
        self._port = ports.free_port()
        self._toxics: list[str] = []

    def inject(self, name: str) -> None:
        """Adds the toxics of a name."""
        for i, toxic in enumerate(TOXICS[name]):
            self._post("/proxies/kafka/toxics", {**toxic, "name": f"{name}-{i}", "toxicity": 1.0})
            self._toxics.append(f"{name}-{i}")

    def heal(self) -> None:
        """Removes all toxics."""
        for name in self._toxics:
            httpx.delete(f"{self._url}/proxies/kafka/toxics/{name}", timeout=10, trust_env=False).raise_for_status()
        self._toxics.clear()

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        httpx.post(f"{self._url}{path}", json=dict(body), timeout=10, trust_env=False).raise_for_status()

    def _ports(self) -> Sequence[int]:
        return (self._port, self.listen)

    def _prepare(self) -> None:
        """Nothing: the proxy is made when the server answers."""

    def _command(self) -> Sequence[str | Path]:
        return (self._server, "-host", "127.0.0.1", "-port", str(self._port))

    def _ready(self) -> bool:
        upstream, listen = f"127.0.0.1:{self._upstream}", f"127.0.0.1:{self.listen}"
        try:
            self._post("/proxies", {"name": "kafka", "listen": listen, "upstream": upstream, "enabled": True})
        except httpx.HTTPError:
            return False
        return True
