"""The API process: the app, and the feeders of its read models beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

from agents_emitter.redaction import Redactor
from streams.api import problem
from streams.api.agents.schema import KEPT_SECONDS
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import BoardWriter
from streams.api.context import Context
from streams.api.feeder import Feeder
from streams.api.ledger import Ledger
from streams.api.locks import Locks, is_loopback
from streams.api.logs.schema import KEPT_SECONDS as LOGS_KEPT_SECONDS
from streams.api.logs.writer import LogWriter
from streams.api.routes import agents as agent_routes
from streams.api.routes import (
    alerts,
    baselines,
    control,
    deployments,
    events,
    gates,
    health,
    incidents,
    logs,
    rules,
    stats,
    system,
    traces,
)
from streams.api.tokens import Token, read_tokens
from streams.api.tracefeeder import TraceFeeder
from streams.api.tracewriter import Retention
from streams.errors import ConfigurationError, StreamsError
from streams.records.cluster import cluster_of
from streams.records.doors import Door, door_of
from streams.settings import Settings, variable

log = logging.getLogger(__name__)
RETRY_SECONDS: Final = 5.0


def make_app(context: Context, lifespan: Any = None) -> FastAPI:
    """The app with all routes; nothing is started."""
    app = FastAPI(
        title="agent-streams",
        version=version("agent-streams"),
        description="Alerts, incidents, anomalies and traces of a multi-agent system.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={code: {"model": problem.Problem} for code in (400, 401, 403, 404, 409, 413, 422, 429, 503)},
    )
    app.state.context = context
    problem.install(app)
    for module in (
        health,
        alerts,
        agent_routes,
        traces,
        logs,
        events,
        control,
        incidents,
        deployments,
        gates,
        baselines,
        rules,
        stats,
        system,
    ):
        app.include_router(module.router)
    _add_page(app)

    app.add_middleware(Locks, context=context)
    return app


def _add_page(app: FastAPI) -> None:
    kinds = {
        "page.html": "text/html; charset=utf-8",
        "page.js": "text/javascript",
        "actions.js": "text/javascript",
        "operations.js": "text/javascript",
        "logs.js": "text/javascript",
        "page.css": "text/css",
    }
    folder = files("streams.api") / "page"

    def serve(name: str) -> Callable[[], Response]:
        return lambda: Response((folder / name).read_bytes(), media_type=kinds[name])

    app.add_api_route("/", serve("page.html"), include_in_schema=False, response_class=HTMLResponse)
    for name in kinds.keys() - {"page.html"}:
        app.add_api_route(f"/{name}", serve(name), include_in_schema=False)


def make_context(settings: Settings, clock_ns: Callable[[], int]) -> Context:
    """As the settings say.

    Raises:
        ConfigurationError: the tokens cannot be read, or there are none and the address is not this machine's own.
    """
    tokens: tuple[Token, ...] = ()
    if settings.api_tokens_file:
        name = variable("api_tokens_file")
        try:
            lines = Path(settings.api_tokens_file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{name}={settings.api_tokens_file}: {type(error).__name__}") from None
        tokens = read_tokens(lines, name)
    if not tokens and not is_loopback(settings.api_host):
        raise ConfigurationError(
            f"{variable('api_host')}={settings.api_host} can be reached from elsewhere: name tokens in "
            f"{variable('api_tokens_file')}, or listen on 127.0.0.1"
        )
    return Context(settings, tokens, clock_ns, Ledger(cluster_of(settings)))


def serve(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit code.

    Raises:
        ConfigurationError: see :func:`make_context`.
    """
    clock_ns = time.time_ns  # noqa: TID251 - the shell gives the clock
    context = make_context(settings, clock_ns)
    brokers, door = context.ledger.brokers, door_of(settings)
    board = Feeder(brokers, settings.api_store_path, BoardWriter, settings.api_store_seconds, clock_ns)
    opened = partial(AgentWriter, pane_seconds=settings.pane_seconds)
    agents = Feeder(brokers, context.agents_path, opened, KEPT_SECONDS, clock_ns, KEPT_SECONDS)
    redactor = Redactor(settings.redaction_allow, content=settings.capture_content == "on")
    keeps = partial(LogWriter, redactor=redactor)
    lines = Feeder(brokers, context.logs_path, keeps, LOGS_KEPT_SECONDS, clock_ns, LOGS_KEPT_SECONDS)
    retention = Retention(settings.trace_store_seconds, settings.trace_store_bytes)
    spans = TraceFeeder(brokers, settings.trace_store_path, retention, clock_ns)
    context.caught_up = {"board": board.caught_up, "agents": agents.caught_up, "logs": lines.caught_up}

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        jobs = {"board": board.run, "agents": agents.run, "logs": lines.run, "traces": spans.run}
        tasks = [asyncio.create_task(_kept(name, job, stop, context)) for name, job in jobs.items()]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks, context.ledger.close(), return_exceptions=True)

    scheme = "https" if door else "http"
    log.info("serving %s://%s:%d", scheme, settings.api_host, settings.api_port)
    server = _Server(
        uvicorn.Config(
            make_app(context, lifespan),
            host=settings.api_host,
            port=settings.api_port,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=3,
            **_tls(door),
        )
    )
    asyncio.run(server.serve())
    return 0


def _tls(door: Door | None) -> dict[str, Any]:
    """Arguments of uvicorn."""
    if door is None:
        return {}
    wanted = {"ssl_ca_certs": door.clients_file, "ssl_cert_reqs": ssl.CERT_REQUIRED} if door.clients_file else {}
    return {"ssl_certfile": door.cert_file, "ssl_keyfile": door.key_file or None, **wanted}


class _Server(uvicorn.Server):
    """Ends on a signal as other commands do: with 0. The base raises the signal once more when all is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In place of the base's handlers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, setattr, self, "should_exit", True)
        yield


async def _kept(
    name: str, job: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event, context: Context
) -> None:
    """Runs a feeder; where it fails, says so and tries again."""
    while not stop.is_set():
        try:
            context.failures.pop(name, None)
            await job(stop)
        except StreamsError as error:
            context.failures[name] = str(error)
            log.warning("%s: %s; again in %.0f s", name, error, RETRY_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RETRY_SECONDS)
