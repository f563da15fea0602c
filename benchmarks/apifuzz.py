"""Requests drawn from the API's own description: ``python -m benchmarks.apifuzz --cases 10000 --json``.

For every operation but the endless stream, Schemathesis draws requests that fit the description and requests that do
not; in half of those with a name in their path it is the name of something that is there. No broker: what is written is
in the read models at once. Printed: answers by status, and three counts that should be 0: server errors (500 and more),
statuses that the description does not name, errors that are no problem JSON. The exit code says whether they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.transport.requests import REQUESTS_TRANSPORT

from benchmarks.apiworld import AGENT, ALERT, DEPLOYMENT, INCIDENT, MAINTENANCE, TRACE, world
from streams.api.context import Context
from streams.api.server import make_app

URL: Final = "http://localhost"
NOW_NS: Final = 1_700_000_000 * 10**9
PER_ROUND: Final = 25
"""Cases of one operation and way of drawing before the next has its turn."""
ENDLESS: Final = "/api/v1/stream"
THERE: Final = {
    "deployment_id": DEPLOYMENT,
    "agent_id": AGENT,
    "name": MAINTENANCE,
    "target": ALERT.fingerprint,
    "fingerprint": ALERT.fingerprint,
    "incident_id": INCIDENT.incident_id,
    "trace_id": TRACE.trace_id,
    "profile": "pinned",
    "service": "shop",
}
_SENT: Final = ("method", "url", "params", "json", "headers", "content")


@dataclass
class Outcome:
    """What came back.

    Attributes:
        found: the first ten requests with each status that should not be.
        answered: operations (``GET /api/v1/alerts``) that were answered with a 2xx at least once.
    """

    by_status: Counter[int] = field(default_factory=Counter)
    server_errors: int = 0
    undocumented: int = 0
    no_problem: int = 0
    found: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    @property
    def cases(self) -> int:
        """Requests that were answered."""
        return self.by_status.total()

    def take(self, case: schemathesis.Case, answer: httpx.Response) -> None:
        """One answer."""
        status = answer.status_code
        self.by_status[status] += 1
        if 200 <= status < 300:
            self.answered.add(case.operation.label)
        wrong = {
            "server_errors": status >= 500,
            "undocumented": str(status) not in case.operation.responses.status_codes,
            "no_problem": status >= 400 and answer.headers.get("content-type") != "application/problem+json",
        }
        for name, is_so in wrong.items():
            setattr(self, name, getattr(self, name) + is_so)
        if any(wrong.values()) and sum(line.startswith(str(status)) for line in self.found) < 10:
            self.found.append(f"{status} {case.method} {answer.url} {case.body!r}"[:500])

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "cases": self.cases,
            **vars(self),
            "by_status": dict(sorted(self.by_status.items())),
            "answered": len(self.answered),
        }


def fuzz(context: Context, cases: int, seed_: int = 1, per_round: int = PER_ROUND) -> Outcome:
    """At least so many cases, the same for the same seed."""
    app, outcome = make_app(context), Outcome()
    with TestClient(app, URL, raise_server_exceptions=False) as client:
        runs = list(_runs(schemathesis.openapi.from_dict(app.openapi()), client, outcome, per_round))
        number = 0
        while outcome.cases < cases:
            for run in list(runs):
                number += 1
                if outcome.cases < cases and not run(seed_ * 1_000_003 + number):
                    runs.remove(run)
    return outcome


def _runs(schema: Any, client: TestClient, outcome: Outcome, per_round: int) -> Iterator[Callable[[int], bool]]:
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path != ENDLESS:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                yield _run(operation.as_strategy(generation_mode=mode), client, outcome, per_round)


def _run(strategy: Any, client: TestClient, outcome: Outcome, per_round: int) -> Callable[[int], bool]:
    """Sends some cases of one kind; False where there are none of it."""

    @settings(
        max_examples=per_round,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=strategy)
    def send(case: schemathesis.Case) -> None:
        if outcome.cases % 2:
            case.path_parameters = {
                name: THERE.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        sent = REQUESTS_TRANSPORT.serialize_case(case, base_url=URL)
        sent["content"] = sent.pop("data", None)
        outcome.take(case, client.request(**{name: sent[name] for name in _SENT if sent.get(name) is not None}))

    def run(number: int) -> bool:
        before = outcome.cases
        try:
            seed(number)(send)()
        except Unsatisfiable:
            return False
        return outcome.cases - before >= per_round

    return run


def main() -> int:
    """Prints the outcome."""
    command = argparse.ArgumentParser(description="Requests drawn from the API's own description.")
    command.add_argument("--cases", type=int, default=10_000)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--json", action="store_true", help="one JSON object")
    arguments = command.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(world(Path(folder), NOW_NS), arguments.cases, arguments.seed)
    body = outcome.to_json() | {"seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(body) if arguments.json else "\n".join(f"{name:14} {value}" for name, value in body.items()))
    return 1 if outcome.found else 0


if __name__ == "__main__":
    sys.exit(main())
