"""State of an older version as this version has it; that of a newer one is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streams.errors import StateVersionError

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


def upgraded(what: str, body: dict[str, Any], newest: int, upgrades: Mapping[int, Upgrade]) -> dict[str, Any]:
    """State of any version up to ``newest`` as the newest version has it.

    Args:
        what: names it in the error.
        body: its version is under ``v``.
        newest: the version this code writes.
        upgrades: from each older version to the one after it.

    Raises:
        StateVersionError: a newer version of this code wrote it. What this one would write in its place could lose what
            the newer one knew.
    """
    if body["v"] > newest:
        raise StateVersionError(
            f"{what} has format {body['v']}, this version reads up to {newest}; nothing was written: "
            "start the newer version again, or delete the state topic to begin anew"
        )
    while body["v"] < newest:
        body = {**upgrades[body["v"]](body), "v": body["v"] + 1}
    return body
