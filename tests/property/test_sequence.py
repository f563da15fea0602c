"""The filter of batch numbers: any interleaving, repetition and gaps; wherever checkpoints and crashes fall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.window import sequence
from streams.window.sequence import SequenceFilter, Verdict
from tests.property.profile import examples

LIMIT = 6
"""Missing numbers remembered, here."""

Batch = tuple[str, int]
batches = st.tuples(st.sampled_from("ab"), st.integers(0, 12) | st.integers(0, 60))
logs = st.lists(batches, max_size=40)
checkpoints = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 12), st.booleans()), max_size=8)
"""After which record, how many records behind it the log is held back, and whether a crash follows."""


@pytest.fixture(autouse=True, scope="module")
def short_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "MISSING_LIMIT", LIMIT)
        yield


def check(seen: SequenceFilter, log: Sequence[Batch], low: int, high: int) -> list[Verdict]:
    return [seen.check(producer, number, low + i, 0) for i, (producer, number) in enumerate(log[low:high])]


def undisturbed(log: Sequence[Batch]) -> list[Verdict]:
    return check(SequenceFilter(), log, 0, len(log))


def disturbed(log: Sequence[Batch], stops: Sequence[tuple[int, int, bool]]) -> tuple[SequenceFilter, list[Verdict]]:
    """With a checkpoint at each stop; after a crash the held-back records are checked again and must fare as before."""
    seen, verdicts, held = SequenceFilter(), list[Verdict](), 0
    for after, behind, crash in sorted(stops):
        verdicts += check(seen, log, len(verdicts), after + 1)
        held = max(held, len(verdicts) - behind)
        seen.settle(held)
        if crash:
            data, seen = seen.snapshot(), SequenceFilter()
            seen.restore(data)
            assert check(seen, log, held, len(verdicts)) == verdicts[held:]
    return seen, verdicts + check(seen, log, len(verdicts), len(log))


@examples(300)
@given(logs)
@example([("a", 1), ("a", 9), ("a", 2)])  # was called a duplicate: its events were lost
def test_each_number_counts_once_while_its_gap_is_remembered(log: list[Batch]) -> None:
    numbers: dict[str, set[int]] = {}
    for (producer, number), verdict in zip(log, undisturbed(log), strict=True):
        seen = numbers.setdefault(producer, set())
        newest = max(seen, default=-1)
        if number in seen:
            assert verdict in ("duplicate", "too_old")
        elif newest - number <= LIMIT:
            assert verdict == "new"
        else:
            assert verdict in ("new", "too_old")
        if verdict == "new":
            seen.add(number)


@examples(300)
@given(logs, checkpoints)
@example([("a", 7), ("a", 0)], [(1, 1, True)])  # was new before the crash and too old after it
def test_checkpoints_and_crashes_anywhere_change_no_verdict(
    log: list[Batch], stops: list[tuple[int, int, bool]]
) -> None:
    seen, verdicts = disturbed(log, stops)
    assert verdicts == undisturbed(log)
    calm = SequenceFilter()
    check(calm, log, 0, len(log))
    for one in (seen, calm):
        one.settle(len(log))
    assert seen.snapshot() == calm.snapshot()
    assert seen.gap_batches == calm.gap_batches
