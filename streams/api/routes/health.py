"""Is it alive, is it ready, what does it depend on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from streams.api.context import Shared

router = APIRouter(tags=["health"])


@router.get("/health/live")
def live() -> dict[str, str]:
    """200 while the process answers."""
    return {"status": "ok"}


@router.get("/health/ready")
def ready(shared: Shared, response: Response) -> dict[str, Any]:
    """200 when what was in the topics at the start is in the read models; else 503."""
    checks = [{"name": name, "ok": event.is_set()} for name, event in shared.caught_up.items()]
    ok = all(check["ok"] for check in checks) and not shared.failures
    response.status_code = 200 if ok else 503
    return {"status": "ok" if ok else "unavailable", "checks": checks}


@router.get("/health/dependencies")
def dependencies(shared: Shared) -> dict[str, Any]:
    """The feeders, and why one is not running."""
    return {
        "dependencies": [
            {"name": name, "ok": name not in shared.failures, "detail": shared.failures.get(name, "")}
            for name in shared.caught_up
        ]
    }
