"""What a demo runs: services and child processes, started in order, stopped in any case."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from streams.demo import rules
from streams.demo.plan import LATENESS_SECONDS, PANE_SECONDS, WARMUP_WINDOWS, Plan
from streams.errors import ConfigurationError, ServiceUnavailable
from streams.services import jars, ports
from streams.services.process import ChildProcess, launched
from streams.services.stack import Stack
from streams.services.template import MONITORING
from streams.settings import Settings

WORKER_SECONDS: Final = 120.0
TOPICS_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 2
"""Longer than the default of 1 s: a simulator that stalls in its history must not have its windows closed."""
OTEL_PROGRAM: Final = MONITORING.parent / "examples" / "otel_agent.py"


class Stage:
    """The services, the worker, the simulator and the OpenTelemetry program, in ``work_folder/demo``.

    Each demo begins with an empty folder. Only one demo at a time uses it.

    Attributes:
        folder: data, configuration and logs. stack: the services.
        worker, api, simulator, otel: the children; None before their start, otel also where rotel is missing.
        http_port: the worker's. api_port: the page's.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = (settings.work_folder / "demo").resolve()
        self.http_port = self.api_port = 0
        self.worker: ChildProcess | None = None
        self.api: ChildProcess | None = None
        self.simulator: ChildProcess | None = None
        self.otel: ChildProcess | None = None
        self._settings = settings
        self._lock = contextlib.ExitStack()
        self._stack: Stack | None = None

    @property
    def stack(self) -> Stack:
        """The services.

        Raises:
            ServiceUnavailable: not started.
        """
        if self._stack is None:
            raise ServiceUnavailable("the demo's services are not started")
        return self._stack

    @property
    def thresholds(self) -> Path:
        """The demo's copy of the rules."""
        return self.folder / "thresholds.yml"

    @property
    def metrics_url(self) -> str:
        """The worker's ``/metrics``."""
        return f"http://127.0.0.1:{self.http_port}/metrics"

    @property
    def fetched(self) -> bool:
        """Whether Kafka's jars are on this machine."""
        return (self._settings.cache_folder / f"kafka-{jars.KAFKA_VERSION}" / "jars.json").exists()

    def __enter__(self) -> Self:
        """Takes and empties the folder.

        Raises:
            ConfigurationError: another demo uses the folder, or this is no checkout.
        """
        text = read_rules(MONITORING / "thresholds.yml")
        shortened = rules.shorten(text, PANE_SECONDS)
        self._take_folder()
        self.thresholds.write_text(shortened, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_services(self) -> None:
        """Kafka and what this machine has of Prometheus, Alertmanager and rotel.

        Raises:
            StreamsError: Kafka could not be started, or another service is there but failed.
        """
        found = sorted((MONITORING / "rules").glob("*.yml"))
        self._stack = Stack(
            self.folder, cache_folder=self._settings.cache_folder, rule_files=found, waits_divisor=rules.DIVISOR
        )
        self._stack.start()

    def create_topics(self) -> None:
        """``streams topics create``.

        Raises:
            ServiceUnavailable: it failed.
        """
        command = launched([sys.executable, "-m", "streams", "topics", "create"], self._variables())
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOPICS_SECONDS, check=False)
        if done.returncode != 0:
            raise ServiceUnavailable(f"streams topics create failed: {done.stderr.strip()[-1_000:]}")

    def start_worker(self) -> None:
        """``streams worker --role all`` under its supervisor; returns at once. Prometheus begins to scrape it."""
        self.http_port = ports.free_port()
        self.worker = self._child("worker", [sys.executable, "-m", "streams", "worker", "--role", "all"])
        self.worker.start()
        if self.stack.prometheus is not None:
            self.stack.prometheus.set_targets([f"127.0.0.1:{self.http_port}"])

    def wait_loaded(self) -> None:
        """Waits until the worker has loaded its code and serves ``/metrics``; it joins its groups after that.

        Raises:
            ServiceUnavailable: it ended, or did not answer in time.
        """
        if self.worker is not None:
            self.worker.wait_ready(lambda: self.scrape() is not None, seconds=WORKER_SECONDS)

    def wait_worker(self) -> None:
        """Waits until the worker is ready.

        Raises:
            ServiceUnavailable: it ended, or was not ready in time.
        """
        if self.worker is not None:
            self.worker.wait_ready(self._worker_ready, seconds=WORKER_SECONDS)

    def start_api(self) -> None:
        """``streams api``, with the operator's page; returns at once."""
        self.api_port = ports.free_port()
        folder = self.folder / "api"
        folder.mkdir(exist_ok=True)
        more = {
            "STREAMS_API_PORT": str(self.api_port),
            "STREAMS_API_STORE_PATH": str(folder / "board.sqlite3"),
            "STREAMS_TRACE_STORE_PATH": str(folder / "traces.sqlite3"),
        }
        self.api = self._child("api", [sys.executable, "-m", "streams", "api"], {**self._variables(), **more})
        self.api.start()

    def start_simulator(self, plan: Plan) -> None:
        """The simulator: history at once, then live."""
        self.simulator = self._child("simulator", plan.simulator(self.stack.kafka.bootstrap))
        self.simulator.start()

    def start_otel(self, seconds: float) -> None:
        """The OpenTelemetry program, where rotel runs."""
        rotel = self.stack.rotel
        if rotel is not None and OTEL_PROGRAM.exists():
            command = [sys.executable, OTEL_PROGRAM, "--endpoint", rotel.grpc_endpoint, "--seconds", f"{seconds:g}"]
            self.otel = self._child("otel-program", [str(part) for part in command])
            self.otel.start()

    def end_sources(self, seconds: float, *, patient: bool) -> None:
        """Tells the simulator and the OpenTelemetry program to end, and waits: they say what they sent.

        Args:
            seconds: how long each may take.
            patient: the OpenTelemetry program ends by itself about now, and may.
        """
        _end(self.simulator, signal.SIGTERM, seconds)
        if patient:
            _end(self.otel, None, seconds)
        _end(self.otel, signal.SIGINT, seconds)

    def scrape(self) -> str | None:
        """The worker's ``/metrics``; None where it does not answer."""
        try:
            answer = httpx.get(self.metrics_url, timeout=5.0, trust_env=False)
        except httpx.HTTPError:
            return None
        return answer.text if answer.status_code == 200 else None

    def stop(self) -> None:
        """Stops everything that runs and gives the folder back."""
        for child in (self.otel, self.simulator, self.api, self.worker):
            if child is not None:
                child.stop()
        if self._stack is not None:
            self._stack.stop()
        self._lock.close()

    def _worker_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.http_port}/health/ready", timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _take_folder(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = self._lock.enter_context((self.folder.parent / "demo.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"another demo uses {self.folder}; end it, or set STREAMS_WORK_FOLDER to another folder"
            ) from None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def _child(self, name: str, command: list[str], variables: Mapping[str, str] | None = None) -> ChildProcess:
        log = self.folder / "logs" / f"{name}.log"
        return ChildProcess(name, command, log=log, variables=variables or self._variables(), folder=self.folder)

    def _variables(self) -> Mapping[str, str]:
        alertmanager = self.stack.alertmanager
        return {
            "STREAMS_BROKERS": self.stack.kafka.bootstrap,
            "STREAMS_HTTP_PORT": str(self.http_port),
            "STREAMS_ALERTMANAGER_URLS": alertmanager.url if alertmanager else "",
            "STREAMS_PANE_SECONDS": str(PANE_SECONDS),
            "STREAMS_WINDOW_SECONDS": f"{PANE_SECONDS},60,300",
            "STREAMS_LATENESS_SECONDS": str(LATENESS_SECONDS),
            "STREAMS_IDLE_SECONDS": str(IDLE_SECONDS),
            "STREAMS_DETECTOR_WARMUP_WINDOWS": str(WARMUP_WINDOWS),
            "STREAMS_THRESHOLDS_PATH": str(self.thresholds),
            "STREAMS_GATES_PATH": str(MONITORING / "gates.yml"),
        }


def _end(child: ChildProcess | None, number: signal.Signals | None, seconds: float) -> None:
    """Signals a child that runs, if there is one, and waits for its end."""
    if child is not None and child.running:
        if number is not None:
            os.kill(child.pid, number)
        with contextlib.suppress(ServiceUnavailable):
            child.wait(seconds=seconds)


def read_rules(path: Path) -> str:
    """The text of the rules file.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise ConfigurationError(
            f"no {path}: the demo runs from a checkout of the repository (it needs monitoring/ and examples/)"
        ) from None


def ended(children: Mapping[str, ChildProcess | None]) -> str:
    """A line about the first child that has ended, "" while all run."""
    for name, child in children.items():
        if child is not None and not child.running:
            return f"{name} has ended with code {child.returncode}; see {child.log}"
    return ""
