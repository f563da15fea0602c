"""A pinned baseline on its way through its record, and a version that is held against it with none beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streams.domain.baseline import Pinned, decode_pinned, encode_pinned
from streams.errors import ConfigurationError
from streams.gate.book import GateBook
from streams.gate.profile import load_profiles
from streams.gate.samples import load
from streams.records.baselines import measured
from tests.unit.gate.windows import series, window

PROFILE = load_profiles(
    """
version: 1
profiles:
  p:
    max_age_seconds: 600
    comparisons:
      slower: {metric: latency, statistic: p95, unit: s, against: pinned, max_change: 0.1, window_seconds: 3600}
      beside: {metric: latency, statistic: mean, unit: s, max_change: 0.1, window_seconds: 3600, blocking: false}
"""
)["p"]


def book(version: str, factor: float, first: int, panes: int = 60) -> GateBook:
    rng, made = np.random.default_rng(first), GateBook(PROFILE, "shop")
    for pane in range(first, first + panes):
        made.add(window(pane, [(series("latency", version), factor * rng.lognormal(-1, 0.4, 60))]))
    return made


@pytest.mark.parametrize(("factor", "status"), [(1.0, "pass"), (1.5, "fail")])
def test_a_later_version_is_held_against_what_was_pinned(factor: float, status: str) -> None:
    record = encode_pinned(Pinned("shop", "", "p", "1", "ann", "release", 5, measured(book("1", 1.0, 0), "1")))
    known = decode_pinned(record)
    assert encode_pinned(known) == record
    later = book("2", factor, 1_000)
    later.pinned = {gate: load(panes) for gate, panes in known.gates.items()}
    assert set(later.pinned) == {"slower"}, "only what is held against it is kept"
    assert later.verdict("2", "", later.newest_ns).status == status


def test_without_one_nothing_is_promoted() -> None:
    later = book("2", 1.0, 1_000)
    verdict = later.verdict("2", "", later.newest_ns)
    assert (verdict.status, "a pinned baseline" in verdict.gates[0].reason) == ("inconclusive", True)


def test_too_little_is_not_pinned() -> None:
    with pytest.raises(ConfigurationError, match="4 of at least 30 windows and 240 of at least 200 samples"):
        measured(book("1", 1.0, 0, panes=4), "1")
    with pytest.raises(ConfigurationError, match="0 of at least 30 windows"):
        measured(book("1", 1.0, 0), "other")
    beside = load_profiles(Path("monitoring/gates.yml").read_text())["default"]
    with pytest.raises(ConfigurationError, match="no comparison of profile default is against: pinned"):
        measured(GateBook(beside, "shop"), "1")


@pytest.mark.parametrize(
    "value", [b"[]", b"{}", b'{"schema":"agents.baseline/1"}', b'{"schema":"agents.baseline/1","gates":{}}', b"x"]
)
def test_what_is_no_baseline_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        decode_pinned(value)
