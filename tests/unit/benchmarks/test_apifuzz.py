"""Requests drawn from the description of the API: it answers all of them as it says, and a planted error is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.apifuzz import ENDLESS, NOW_NS, fuzz
from benchmarks.apiworld import BoardLedger, world
from streams.api.routes import control
from streams.api.server import make_app

NEVER_WELL = {
    f"GET {ENDLESS}",
    "POST /api/v1/deployments/{deployment_id}/complete",
    "POST /api/v1/baselines",
    "POST /api/v1/incidents/{incident_id}/merge",
    "POST /api/v1/incidents/{incident_id}/unlink",
}
"""An endless stream, what needs windows (there are none), what needs a second incident or an alert that is in one."""


def test_every_answer_is_one_that_the_description_names(tmp_path: Path) -> None:
    context = world(tmp_path, NOW_NS)
    outcome = fuzz(context, cases=700, per_round=8)
    assert outcome.found == []
    assert outcome.cases >= 700
    paths = make_app(context).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    assert routes - outcome.answered == NEVER_WELL, "every other route was asked for something that is there"
    assert {200, 201, 404, 422} <= set(outcome.by_status), outcome.by_status


def test_what_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = world(tmp_path, NOW_NS)
    assert isinstance(context.ledger, BoardLedger)
    monkeypatch.setattr(control, "encode_control", lambda _: 1 // 0)
    outcome = fuzz(context, cases=450, per_round=8)
    assert outcome.server_errors > 0
    assert "/api/v1/acks" in outcome.found[0]
