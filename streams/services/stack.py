"""Several services, started together, stopped together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.errors import DependencyMissing
from streams.services import install
from streams.services.alertmanager import AlertmanagerService
from streams.services.kafka import KafkaService
from streams.services.prometheus import PrometheusService
from streams.services.rotel import RotelService
from streams.services.service import Service
from streams.services.webhook import WebhookReceiver

ALL: Final = frozenset({"kafka", "prometheus", "alertmanager", "rotel"})


class Stack:
    """A broker and what stands around it, as one context manager.

    On entry all wanted services start side by side. Kafka must come up; of the others, one whose program this machine
    lacks is left out with a line in ``missing``. On exit, on a failed start and on Ctrl-C everything is stopped; if
    this process is killed, the kernel kills them.

    Args:
        folder: work folder; each service has its own folder in it. Data of an earlier run is used again.
        cache_folder: where Kafka's jars are.
        wanted: names of services, out of :data:`ALL`; "alertmanager" brings a webhook receiver with it.
        rule_files: Prometheus rules.
        kafka_port: the broker's port; a free one by default.
        waits_divisor: how much shorter Alertmanager waits than the shipped configuration says; None = 1 s.
        installing: whether missing Debian packages are installed where that is possible.

    Attributes:
        kafka: the broker.
        prometheus, alertmanager, rotel, webhook: the others; None if not wanted or missing.
        missing: one line for each service that was left out, which says how to get it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cache_folder: Path,
        wanted: frozenset[str] = ALL,
        rule_files: Sequence[Path] = (),
        kafka_port: int | None = None,
        waits_divisor: int | None = None,
        installing: bool = True,
    ) -> None:
        if not wanted <= ALL or "kafka" not in wanted:
            raise ValueError(f"wanted must hold kafka and only names of {sorted(ALL)}, got {sorted(wanted)}")
        self.folder = folder
        self.missing: list[str] = []
        self.webhook: WebhookReceiver | None = None
        self.prometheus: PrometheusService | None = None
        self.alertmanager: AlertmanagerService | None = None
        self.rotel: RotelService | None = None
        self.kafka = KafkaService(folder / "kafka", cache_folder=cache_folder, port=kafka_port)
        self._wanted = wanted
        self._rule_files = rule_files
        self._waits_divisor = waits_divisor
        self._installing = installing

    def addresses(self) -> dict[str, str]:
        """Name to address of what runs, for people and for the configuration of workers."""
        found = {"kafka": self.kafka.bootstrap}
        if self.prometheus:
            found["prometheus"] = self.prometheus.url
        if self.alertmanager:
            found["alertmanager"] = self.alertmanager.url
        if self.webhook:
            found["webhook"] = self.webhook.url
        if self.rotel:
            found |= {"otlp_grpc": self.rotel.grpc_endpoint, "otlp_http": self.rotel.http_endpoint}
        return found

    def start(self) -> Self:
        """Start what is wanted. See the class for what happens on failure.

        Raises:
            StreamsError: Kafka could not be started, or another service is there but failed.
        """
        with ThreadPoolExecutor(max_workers=3, thread_name_prefix="stack") as threads:
            try:
                starts = [threads.submit(job) for job in (self._start_kafka, self._start_monitoring, self._start_rotel)]
                for start in starts:
                    start.result()
            except BaseException:
                # Killing the children ends the waits of the other threads; what they start after that is stopped
                # when they have ended.
                for service in self._services():
                    service.kill()
                threads.shutdown(wait=True, cancel_futures=True)
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop everything, the broker last. Stopping a stopped stack does nothing."""
        for service in self._services():
            service.stop()
        if self.webhook:
            self.webhook.stop()
            self.webhook = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _services(self) -> list[Service]:
        return [s for s in (self.rotel, self.prometheus, self.alertmanager, self.kafka) if s is not None]

    def _start_kafka(self) -> None:
        self.kafka.start()

    def _start_monitoring(self) -> None:
        if not self._wanted & {"prometheus", "alertmanager"}:
            return
        if self._installing and not self._possible(install.install):
            return
        if "alertmanager" in self._wanted:
            self.webhook = WebhookReceiver()
            self.alertmanager = AlertmanagerService(
                self.folder / "alertmanager", webhook_url=self.webhook.url, divisor=self._waits_divisor
            )
            if not self._possible(self.alertmanager.start):
                self.alertmanager = None
        if "prometheus" in self._wanted:
            self.prometheus = PrometheusService(
                self.folder / "prometheus",
                rule_files=self._rule_files,
                alertmanager_url=self.alertmanager.url if self.alertmanager else None,
            )
            if not self._possible(self.prometheus.start):
                self.prometheus = None

    def _start_rotel(self) -> None:
        if "rotel" in self._wanted:
            self.rotel = RotelService(self.folder / "rotel", kafka_bootstrap=self.kafka.bootstrap)
            if not self._possible(self.rotel.start):
                self.rotel = None

    def _possible(self, step: Callable[[], object]) -> bool:
        """Run a step; where the machine lacks something, note the reason and go on without."""
        try:
            step()
        except DependencyMissing as error:
            self.missing.append(str(error))
            return False
        return True
