"""Errors as RFC 9457 problem JSON."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from streams.errors import ConfigurationError, ServiceUnavailable
from streams.gate.lifecycle import LifecycleConflict


class Problem(BaseModel):
    """What went wrong."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""


def problem(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, dict(headers or {}), "application/problem+json")


def install(app: FastAPI) -> None:
    """Every error of the app answers so."""

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, "; ".join(_where(one) for one in error.errors()[:5]))

    @app.exception_handler(LifecycleConflict)
    async def conflict(_: Request, error: LifecycleConflict) -> JSONResponse:
        return problem(409, str(error))

    @app.exception_handler(ConfigurationError)
    async def misconfigured(_: Request, error: ConfigurationError) -> JSONResponse:
        return problem(503, str(error))

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "this is an error of ours; the log has it")

    @app.exception_handler(ServiceUnavailable)
    async def unavailable(_: Request, error: ServiceUnavailable) -> JSONResponse:
        return problem(503, str(error), {"Retry-After": "2"})


def _where(error: Mapping[str, Any]) -> str:
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
