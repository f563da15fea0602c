"""What the shape of a trace tells: attempts, repetitions, clocks that disagree."""

from __future__ import annotations

from typing import NamedTuple


class Skew(NamedTuple):
    """The span and all below it are shown ``skew_ns`` later than measured, up to the next entry further down.

    0 is such an entry too: there the clock is the root's again.
    """

    span_id: str
    service: str
    skew_ns: int


class Retry(NamedTuple):
    """Attempts at one thing by one parent, in order: each began after one before it had failed.

    ``attempts`` counts all; ``span_ids`` names at most 32. ``recovered``: the last one did not fail.
    ``wasted_ns``: from the start of the first to the start of the last.
    """

    parent_span_id: str
    service: str
    name: str
    span_ids: tuple[str, ...]
    attempts: int
    recovered: bool
    wasted_ns: int


class Loop(NamedTuple):
    """An agent called a tool with the same arguments again and again, and not because it had failed.

    ``arguments_hash``: 16 hex digits of SHA-256 of the arguments (which are not published here). ``calls`` counts all,
    ``span_ids`` names at most 32, earliest first.
    """

    agent: str
    tool: str
    arguments_hash: str
    calls: int
    span_ids: tuple[str, ...]
