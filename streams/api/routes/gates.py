"""What a deployment must show, and what the last one showed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException

from streams.api.context import Context, Shared, needs
from streams.api.routes.words import Word, example
from streams.gate.profile import Profile, load_profiles
from streams.settings import read_text

router = APIRouter(prefix="/api/v1", tags=["gates"], dependencies=[needs("read")])
CHECK = {"kind": "check", "name": "cpu", "unit": "ratio", "op": "<", "threshold": 0.8, "blocking": True}
EVALUATION = {"deployment_id": "shop-2.0", "verdict": "pass", "recommended_action": "promote", "gates": []}


@router.get(
    "/performance-gates",
    responses={
        200: example(
            {"as_of": "2026-01-31T22:00:00.000Z", "profile": "default", "gates": [CHECK], "last_evaluation": EVALUATION}
        )
    },
)
def gates(shared: Shared, profile: Word = "default", service: Word = "") -> dict[str, Any]:
    """The gates of a profile and the last evaluation by it (null: there is none); evaluates nothing."""
    asked = profile_of(shared, profile)
    found = shared.from_board(lambda board: board.judged(profile, service))
    last = None if found is None else {"deployment_id": found["id"], **found["verdict"]}
    listed = [{"kind": "check", **asdict(one)} for one in asked.checks]
    listed += [{"kind": "comparison", **asdict(one)} for one in asked.comparisons]
    return shared.envelope(profile=profile, max_age_seconds=asked.max_age_seconds, gates=listed, last_evaluation=last)


def profile_of(shared: Context, name: str) -> Profile:
    """A profile of the file as it is now: 422 where it has none of that name.

    Raises:
        ConfigurationError: the file cannot be read or used.
    """
    profiles = load_profiles(read_text(shared.settings, "gates_path"))
    if name not in profiles:
        raise HTTPException(422, f"there is no profile {name!r}: {', '.join(sorted(profiles))}")
    return profiles[name]
