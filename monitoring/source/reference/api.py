"""``api.md``: the paths of ``streams api``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitoring.source.reference.page import code, page, table
from streams.api import server
from streams.settings import Settings


def api() -> str:
    """From the OpenAPI description that the server itself gives."""
    app = server.make_app(server.make_context(Settings(), lambda: 0))
    described: dict[str, Any] = app.openapi()
    return page(
        "HTTP API",
        "`streams/api/routes/`",
        "`streams api --openapi` prints the whole description. Errors are problem JSON (RFC 9457). Every answer\n"
        "has `as_of` and says how fresh it is. A cursor of an answer is given back unchanged.",
        table(("method", "path", "answers", "parameters"), _paths(described["paths"])),
    )


def _paths(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    for path, operations in sorted(paths.items()):
        for method, operation in operations.items():
            names = (p["name"] for p in operation.get("parameters", ()) if p["in"] != "path")
            text = (operation.get("description") or operation["summary"]).split("\n\n")[0]
            yield method.upper(), f"`{path}`", text.replace("``", "`"), code(names)
