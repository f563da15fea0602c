"""What is said of a path: its ratio to the loop beside it, and whether that is what the aim was to the loop's then."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.aims import AIMS, LOOP_AT_AIMS, PATHS, judged, table_row
from benchmarks.data import PATHS as DATA
from benchmarks.data import batches
from benchmarks.peers.windows import samples


def figures(rate: float, wall: float, unit: str = "events") -> dict[str, Any]:
    return {f"{unit}_per_cpu_second": rate, f"wall_{unit}_per_second": wall}


@pytest.mark.parametrize(
    ("rate", "loops", "holds", "holds_here"),
    [
        (2_500_000, (357_000, 357_000), True, True),
        (2_490_000, (357_000, 357_000), False, False),
        (1_800_000, (250_000, 250_000), True, False),  # a slower machine
        (2_600_000, (400_000, 400_000), False, True),  # a faster one
        (2_500_000, (257_000, 457_000), True, True),  # the mean of before and after
        (2_490_000, (257_000, 457_000), False, False),
    ],
)
def test_the_aim_is_a_ratio(rate: float, loops: tuple[float, float], *, holds: bool, holds_here: bool) -> None:
    row = judged("batch100", figures(rate, rate), loops)
    assert (row["holds"], row["holds_here"]) == (holds, holds_here)
    assert f"({'aim 7.00, holds' if holds else 'aim 7.00, MISSED'})" in table_row(row)


@pytest.mark.parametrize(("wall", "holds"), [(80, True), (79, False)])
def test_the_wall_clock_is_held_against_cpu_time(wall: float, *, holds: bool) -> None:
    row = judged("keyed", figures(100, wall, "spans"), [LOOP_AT_AIMS])
    assert row["wall_holds"] is holds
    assert row["wall_ratio"] == wall / 100


def test_a_path_without_an_aim_says_so() -> None:
    row = judged("sparse100", figures(100, 90), [LOOP_AT_AIMS])
    assert "holds" not in row
    assert "no aim" in table_row(row)


def test_every_path_of_events_is_measured() -> None:
    assert set(PATHS) == {*DATA, "keyed"}
    assert set(AIMS) < set(PATHS)


def test_batches_of_any_size_hold_the_same_events() -> None:
    whole, cut = (
        sorted((sample.time_ns, str(sample)) for record in records for sample in samples(record.value))
        for records in (batches(20_000), batches(20_000, samples=100))
    )
    assert len(whole) == 20_000
    assert whole == cut
