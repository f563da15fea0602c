"""One worker process: its roles, its HTTP server, its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, Final

from prometheus_client import CollectorRegistry

from streams.app import scrape
from streams.app.admin import check_topics
from streams.app.garbage import settle
from streams.app.inloop import InLoop
from streams.app.metrics import window_spec
from streams.app.pause import EXIT_STALLED, PauseSelector, guarded_loop
from streams.app.roles import Roles
from streams.app.runtime import Runtime
from streams.app.telling import progress_task
from streams.app.warmup import warm_up, warm_up_detection, warm_up_spans
from streams.domain.capacity import Capacity
from streams.domain.expected import Expected
from streams.domain.judged import DeploymentVerdict
from streams.errors import ConfigurationError, ServiceUnavailable, Stalled, StateEpochError, StateError
from streams.publish.capacity import CapacityCollector
from streams.publish.expected import ExpectedCollector
from streams.publish.health import make_health
from streams.publish.http import Check, WorkerServer
from streams.publish.progress import Progress, ProgressCollector
from streams.publish.prometheus import WindowCollector
from streams.publish.verdicts import VerdictCollector
from streams.records.doors import door_of
from streams.settings import Settings, variable

log = logging.getLogger(__name__)
EXIT_SETTING: Final = 2
EXIT_STATE: Final = 4
"""The state is of a newer version, or damaged: no restart mends it."""


class Worker:
    """Runs until a signal, a failure, a stall or a pause past its session. ``exit_code`` says which.

    Args:
        settings: the worker's.
        selector: of the loop it runs in; armed when what owns nothing yet (compiling) is over.
    """

    def __init__(self, settings: Settings, selector: PauseSelector | None = None) -> None:
        self.settings = settings
        self._selector = selector
        self.registry = CollectorRegistry()
        self.health = make_health(self.registry, version=version("agent-streams"))
        self.collector = WindowCollector()
        self.roles = Roles(settings, self.health, self.collector)
        self.runtimes: list[Runtime] = []
        self.exit_code = 0
        self._stop = asyncio.Event()
        self._loop_seen = time.monotonic()

    async def run(self) -> int:
        """Starts everything, waits for the end, stops everything; returns the exit code.

        Raises:
            ServiceUnavailable: no broker answers, topics are missing, or the HTTP port is taken.
            ConfigurationError: the topics do not fit the settings, or the HTTP address is none of this machine's.
        """
        await check_topics(self.settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        warm_up(window_spec(self.settings))
        if "traces" in self.roles.names:
            warm_up_spans()
        if "alerts" in self.roles.names:
            warm_up_detection()
        self._show("progress", ProgressCollector(InLoop[list[Progress]](self.roles.progress, loop, [])))
        if "alerts" in self.roles.names:
            self._show("capacity", CapacityCollector(InLoop[list[Capacity]](self.roles.capacities, loop, [])))
            self._show("verdicts", VerdictCollector(InLoop[list[DeploymentVerdict]](self.roles.verdicts, loop, [])))
            self._show("expected", ExpectedCollector(InLoop[list[Expected]](self.roles.expected, loop, [])))
        server = self._server()
        if server is not None:
            server.start()
            log.info("serving %s/metrics, /health/live, /health/ready", server.url)
        await self.roles.start()
        if self._selector is not None:
            self._selector.arm(lambda: any(runtime.ready for runtime in self.runtimes))
        self.runtimes = self.roles.make_runtimes()
        start = asyncio.create_task(self._start())
        told = progress_task(self.runtimes, time.time_ns)  # noqa: TID251 - the shell's clock
        try:
            await self._watch(start)
        finally:
            for task in (start, told):
                task.cancel()
            await asyncio.gather(start, told, return_exceptions=True)
            await self._end(server)
        return self.exit_code

    def _show(self, name: str, collector: scrape.Described) -> None:
        self.registry.register(scrape.Part(name, collector, self.health))

    async def _start(self) -> None:
        await asyncio.gather(*(runtime.app.start() for runtime in self.runtimes))
        settle()

    def _server(self) -> WorkerServer | None:
        if not self.settings.http_port:
            return None
        host, port = self.settings.http_host, self.settings.http_port
        door = door_of(self.settings)
        tls = door.context(required=False) if door else None
        more = scrape.rendered("windows", self.collector.render, self.health)
        try:
            checks = {"live": self._live, "ready": self._ready}
            return WorkerServer(self.registry, **checks, more=more, host=host, port=port, tls=tls)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(f"{variable('http_host')}={host}: {error.strerror}") from error
            raise ServiceUnavailable(
                f"{variable('http_port')}={port}: the port is taken: free it or choose another (0 = no HTTP server)"
            ) from error

    def _live(self) -> list[Check]:
        late = time.monotonic() - self._loop_seen
        return [Check("loop", late < self.settings.watchdog_loop_seconds, f"event loop seen {late:.1f} s ago")]

    def _ready(self) -> list[Check]:
        checks = [
            Check(r.role, r.ready, f"owns {len(r.parts)} partitions, restored in {r.restored_seconds:.2f} s")
            for r in self.runtimes
        ]
        return checks or [Check("started", ok=False, detail="roles are starting")]

    def guard(self, end: Callable[[int], None]) -> None:
        """Runs in a thread of its own: ends the process when the event loop has not moved for too long.

        Args:
            end: ends the process at once with an exit code; nothing else can be asked of a loop that is blocked.
        """
        limit = self.settings.watchdog_loop_seconds
        while not self._stop.is_set():
            time.sleep(min(1.0, limit / 4))
            blocked = time.monotonic() - self._loop_seen
            if blocked > limit and not self._stop.is_set():
                log.critical("the event loop has been blocked for %.0f s: exit %d", blocked, EXIT_STALLED)
                end(EXIT_STALLED)
                return

    async def _watch(self, start: asyncio.Task[None]) -> None:
        """Looks on from the first moment: a start that hangs is a stall as well."""
        self._loop_seen = time.monotonic()
        threading.Thread(target=self.guard, args=(os._exit,), name="loop-guard", daemon=True).start()
        while not self._stop.is_set():
            self._loop_seen = time.monotonic()
            error = start.exception() if start.done() else None
            problem = Stalled(f"the start failed: {error!r}") if error else next(self._problems(), None)
            if problem is not None:
                self.exit_code = self._code()
                log.critical("%s: exit %d", problem, self.exit_code)
                self._stop.set()
                return
            try:
                await asyncio.wait_for(self._stop.wait(), 0.5)
            except TimeoutError:
                continue

    def _code(self) -> int:
        return next((exit_code(r.failure) for r in self.runtimes if r.failure is not None), EXIT_STALLED)

    def _problems(self) -> Iterator[Stalled]:
        for runtime in self.runtimes:
            if runtime.failure is not None:
                yield Stalled(f"role {runtime.role} failed: {runtime.failure!r}")
            if runtime.app.crashed:
                yield Stalled(f"role {runtime.role} crashed: {runtime.app.crash_reason!r}")
            settings, stalled = self.settings, runtime.stalled_seconds()
            if not runtime.ready and stalled > settings.watchdog_assignment_seconds:
                yield Stalled(f"role {runtime.role} has not been ready for {stalled:.0f} s")
            elif runtime.ready and stalled > settings.watchdog_progress_seconds:
                yield Stalled(f"role {runtime.role} has made no progress for {stalled:.0f} s")

    async def _end(self, server: WorkerServer | None) -> None:
        if self._selector is not None:
            self._selector.disarm()
        await asyncio.gather(*(_bounded(runtime.close(), 4.0) for runtime in self.runtimes))
        await asyncio.gather(*(_bounded(r.app.stop(), 4.0) for r in self.runtimes))
        await self.roles.stop()
        if server is not None:
            server.stop()


async def _bounded(step: Any, seconds: float) -> None:
    """A step of the end must not prevent the end: what it leaves undone is in the log."""
    try:
        await asyncio.wait_for(step, seconds)
    except Exception as error:  # noqa: BLE001 - the counted boundary of the shutdown
        log.warning("unclean end: %r", error)


def exit_code(failure: BaseException) -> int:
    """What a role's failure means to the supervisor."""
    if isinstance(failure, ConfigurationError):
        return EXIT_SETTING
    if isinstance(failure, StateError) and not isinstance(failure, StateEpochError):
        return EXIT_STATE
    return EXIT_STALLED


def run(settings: Settings) -> int:
    """Runs a worker in this process; returns its exit code."""
    loop, selector = guarded_loop(settings.session_timeout_seconds)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(Worker(settings, selector).run())
