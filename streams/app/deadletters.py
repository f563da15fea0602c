"""``streams deadletters``: what could not be read, by topic and reason, with one of each as an example."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Final

from streams import topics
from streams.publish.deadletter import DeadLetter, read_dead_letter
from streams.records.history import History
from streams.settings import Settings

DAY_SECONDS: Final = 86_400.0
MAX_SHOWN_BYTES: Final = 200
MAX_KINDS: Final = 1_000
REST: Final = ("other topics", "other reasons")
NS: Final = 1_000_000_000


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What is chosen."""
    command.add_argument("--since", type=float, default=DAY_SECONDS, metavar="SECONDS", help="default: a day")
    command.add_argument("--topic", default="", help="only of this topic")
    command.add_argument("--reason", default="", help="only of this reason")


class Kinds:
    """Dead letters by topic and reason: how many, the newest, and the time of the first.

    Both are of few values where we wrote them; beyond :data:`MAX_KINDS` the rest is one kind.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._first_ns: dict[tuple[str, str], int] = {}
        self._newest: dict[tuple[str, str], DeadLetter] = {}

    def add(self, letter: DeadLetter) -> None:
        """One more."""
        kind = letter.topic, letter.reason
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = REST
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first_ns[kind] = min(letter.at_ns, self._first_ns.get(kind, letter.at_ns))
        if kind not in self._newest or letter.at_ns >= self._newest[kind].at_ns:
            self._newest[kind] = letter

    def lines(self) -> list[str]:
        """Most frequent first: three lines each."""
        return [
            line
            for kind, count in sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))
            for line in _lines(kind, count, self._first_ns[kind], self._newest[kind])
        ]


def _lines(kind: tuple[str, str], count: int, first_ns: int, newest: DeadLetter) -> tuple[str, str, str]:
    topic, reason = kind
    key = (newest.key or b"").decode("utf-8", "backslashreplace")
    value = newest.value or b""
    more = " ..." if len(value) > MAX_SHOWN_BYTES else ""
    where = f"{topic}/{newest.partition} offset {newest.offset} key {key!r}"
    return (
        f"{count} of {topic}: {reason}, from {_time(first_ns)} to {_time(newest.at_ns)}",
        f"    newest: {where}: {newest.detail}",
        f"    {value[:MAX_SHOWN_BYTES]!r}{more}",
    )


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def listed(settings: Settings, arguments: argparse.Namespace, now_ns: int) -> list[str]:
    """Lines to print.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    kinds, strange, records = Kinds(), 0, History(topics.DEAD_LETTERS, bytes)
    async for past in records.since(settings, now_ns - round(arguments.since * NS)):
        try:
            letter = read_dead_letter(past.record)
        except ValueError:
            strange += 1
            continue
        if arguments.topic in ("", letter.topic) and arguments.reason in ("", letter.reason):
            kinds.add(letter)
    return kinds.lines() + ([f"{strange} records there are no dead letters of ours"] if strange else [])
