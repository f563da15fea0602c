"""A real Prometheus that scrapes what it is told to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
import yaml

from streams.errors import ServiceUnavailable
from streams.services import install, ports, template
from streams.services.service import Service

_TIMEOUT_SECONDS: Final = 10.0
_WORKERS_JOB: Final = "streams"


class PrometheusService(Service):
    """Prometheus from the Debian package, configured from ``monitoring/prometheus/prometheus.yml``.

    Args:
        folder: work folder; samples in ``data/``.
        port: its port; a free one by default.
        targets: "host:port" of what the job ``streams`` scrapes; see :meth:`set_targets`.
        rule_files: rule files, in place of the template's.
        alertmanager_url: where its alerts go; nowhere by default.
        scrape_interval_seconds: how often it scrapes and evaluates rules.
        configuration: the template.

    Attributes:
        url: "http://127.0.0.1:PORT".
    """

    name: ClassVar[str] = "prometheus"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        targets: Iterable[str] = (),
        rule_files: Sequence[Path] = (),
        alertmanager_url: str | None = None,
        scrape_interval_seconds: float = 1.0,
        configuration: Path = template.MONITORING / "prometheus" / "prometheus.yml",
    ) -> None:
        super().__init__(folder)
        self.port = ports.free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self._targets = list(targets)
        self._rule_files = [path.resolve() for path in rule_files]
        self._alertmanager = alertmanager_url.removeprefix("http://").rstrip("/") if alertmanager_url else None
        self._interval = f"{round(scrape_interval_seconds * 1_000)}ms"
        self._template = configuration

    def set_targets(self, targets: Iterable[str]) -> None:
        """Change what is scraped. Prometheus watches the file and follows within 5 s, without a reload."""
        self._targets = list(targets)
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / "targets.json.part"  # renamed into place: Prometheus never reads half a file
        scratch.write_text(json.dumps([{"targets": self._targets}]))
        scratch.rename(self.folder / "targets.json")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query.

        Returns:
            The series of the answer: {"metric": labels, "value": [unix seconds, text]}. A scalar is one series
            without labels. A misspelt metric is an empty list, not an error.

        Raises:
            ServiceUnavailable: no answer, or it refused the expression (the message carries its reason).
        """
        data = self._get("/api/v1/query", query=expression)
        result = data["result"]
        return [{"metric": {}, "value": result}] if data["resultType"] in ("scalar", "string") else list(result)

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Exemplars of the last hour: by series, {"seriesLabels", "exemplars": [{"labels", "value", "timestamp"}]}."""
        now = time.time()  # noqa: TID251 - the shell reads the clock
        return list(
            self._get("/api/v1/query_exemplars", query=expression, start=f"{now - 3600:.3f}", end=f"{now + 60:.3f}")
        )

    def scraped(self) -> dict[str, str]:
        """Active targets: scrape address ("host:port") to health ("up", "down", "unknown")."""
        active = self._get("/api/v1/targets", state="active")["activeTargets"]
        return {target["discoveredLabels"]["__address__"]: target["health"] for target in active}

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts of its own rules, pending and firing."""
        return list(self._get("/api/v1/alerts")["alerts"])

    def _get(self, path: str, **parameters: str) -> Any:
        try:
            answer = httpx.get(f"{self.url}{path}", params=parameters, timeout=_TIMEOUT_SECONDS, trust_env=False)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"prometheus: {type(error).__name__} at {self.url}") from None
        if answer.status_code != 200:
            raise ServiceUnavailable(f"prometheus: {answer.status_code} {answer.text[:500]}")
        return answer.json()["data"]

    def _ports(self) -> Sequence[int]:
        return (self.port,)

    def _prepare(self) -> None:
        self.set_targets(self._targets)
        content = template.load(self._template)
        content["global"] |= {"scrape_interval": self._interval, "evaluation_interval": self._interval}
        content["rule_files"] = [str(path) for path in self._rule_files]
        peers = [self._alertmanager] if self._alertmanager else []
        content["alerting"] = {"alertmanagers": [{"api_version": "v2", "static_configs": [{"targets": peers}]}]}
        content["scrape_configs"] = [self._job(job) for job in content["scrape_configs"]]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(content, sort_keys=False))

    def _job(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job of the template with its discovery replaced by ours."""
        kept = {name: value for name, value in job.items() if not name.endswith("_configs")}
        kept |= {name: value for name, value in job.items() if name.endswith("relabel_configs")}
        if job["job_name"] == _WORKERS_JOB:
            return kept | {"file_sd_configs": [{"files": ["targets.json"]}]}
        known = {"alertmanager": self._alertmanager, "prometheus": f"127.0.0.1:{self.port}"}
        address = known.get(job["job_name"])
        return kept | {"static_configs": [{"targets": [address] if address else []}]}

    def _command(self) -> Sequence[str | Path]:
        return (
            install.program("prometheus"),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            # It learns its Alertmanager 5 s after the start; alerts that fired before went nowhere, and would be sent
            # again after the default of 1 min.
            "--rules.alert.resend-delay=5s",
            "--web.enable-lifecycle",
            "--enable-feature=exemplar-storage",
            "--web.enable-remote-write-receiver",
            "--web.console.templates=/etc/prometheus/consoles",
            "--web.console.libraries=/etc/prometheus/console_libraries",
        )

    def _ready(self) -> bool:
        return answers(f"{self.url}/-/ready")


def answers(url: str) -> bool:
    """Whether a GET is answered with 200 now."""
    try:
        return httpx.get(url, timeout=1.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
