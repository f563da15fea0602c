"""A fault counts as found only by what points at it, in its first windows; the health before is the same for all."""

from __future__ import annotations

from itertools import takewhile

from benchmarks.faultkinds import KINDS, SAME_SECONDS, Outcome, _at, _records, figures, run
from streams.correlate.rules import load_rules


def test_figures_count_what_was_found() -> None:
    found = Outcome("k", 1, ("rule A",), 2, chance=False)
    report = figures([found, found, Outcome("k", 2, (), 0, chance=True)])
    assert (report["found_ratio"], report["chance_ratio"], report["windows_mean"]) == (0.6667, 0.3333, 2.0)
    assert report["by"] == {"rule A": 0.667}


def test_records_before_the_fault_are_the_same_for_all_kinds() -> None:
    def before(kind: str) -> list[bytes]:
        return [e.value for e in takewhile(lambda e: e.time_ns < _at(60), _records(kind, 3))]

    assert SAME_SECONDS > 60
    assert all(before(kind) == before(KINDS[0]) for kind in KINDS)


def test_without_the_rules_that_expect_it_a_burst_of_events_is_not_found() -> None:
    """No series of it was there before, so no detector knows them."""
    (outcome,) = run(0, load_rules("version: 1\nrules: {}\n"), ["security_burst"])
    assert (outcome.by, outcome.chance) == ((), False)
