"""A real Alertmanager that notifies a webhook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
import yaml

from streams.errors import ServiceUnavailable
from streams.services import install, ports, template
from streams.services.prometheus import answers
from streams.services.service import Service

_TIMEOUT_SECONDS: Final = 10.0


SILENT_RECEIVER: Final = "nobody"
"""The receiver of what is for inhibition only."""


class AlertmanagerService(Service):
    """Alertmanager from the Debian package, configured from ``monitoring/alertmanager/alertmanager.yml``.

    It notifies 1 s after a change of a group (the template waits longer, for people).

    Args:
        folder: work folder; silences and the notification log in ``data/``, which survive a restart (alerts do not).
        webhook_url: what every receiver of the template posts to; None = nobody is notified.
        port: its port; a free one by default.
        divisor: what the template's waits for more alerts of a group are divided by, to whole seconds, at least 1 s;
            None = 1 s everywhere. Alerts are folded into incidents in that time.
        configuration: the template.

    Attributes:
        url: "http://127.0.0.1:PORT".
    """

    name: ClassVar[str] = "alertmanager"

    def __init__(
        self,
        folder: Path,
        *,
        webhook_url: str | None = None,
        port: int | None = None,
        divisor: int | None = None,
        configuration: Path = template.MONITORING / "alertmanager" / "alertmanager.yml",
    ) -> None:
        super().__init__(folder)
        self.port = ports.free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self._webhook_url = webhook_url
        self._divisor = divisor
        self._template = configuration

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds now: active, silenced and inhibited alerts, as ``GET /api/v2/alerts`` gives them.

        Raises:
            ServiceUnavailable: no answer.
        """
        try:
            answer = httpx.get(f"{self.url}/api/v2/alerts", timeout=_TIMEOUT_SECONDS, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"alertmanager: {type(error).__name__} at {self.url}") from None
        return list(answer.json())

    def _ports(self) -> Sequence[int]:
        return (self.port,)

    def _prepare(self) -> None:
        content = template.load(self._template)
        _hurry(content["route"], self._divisor)
        hooks = [{"url": self._webhook_url, "send_resolved": True}] if self._webhook_url else []
        content["receivers"] = [
            {"name": receiver["name"], "webhook_configs": hooks if receiver["name"] != SILENT_RECEIVER else []}
            for receiver in content["receivers"]
        ]
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(content, sort_keys=False))

    def _command(self) -> Sequence[str | Path]:
        return (
            install.program("prometheus-alertmanager"),
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",  # empty: else it gossips on 0.0.0.0
        )

    def _ready(self) -> bool:
        return answers(f"{self.url}/-/ready")


def _hurry(route: dict[str, Any], divisor: int | None, inherited: str = "30s") -> None:
    wait = route.get("group_wait", inherited)
    seconds = 1 if divisor is None else math.ceil(_seconds(wait) / divisor)
    route |= {"group_wait": f"{seconds}s", "group_interval": "1s"}
    for inner in route.get("routes", ()):
        _hurry(inner, divisor, wait)


def _seconds(wait: str) -> int:
    """A wait of the template: whole seconds or minutes."""
    return int(wait[:-1]) * {"s": 1, "m": 60}[wait[-1]]
