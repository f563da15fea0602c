"""What the shipped profiles say of a canary beside its baseline: good, bad in each way, a shift that hits both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.gate.book import GateBook
from streams.gate.profile import load_profiles
from streams.gate.verdict import Verdict
from tests.pipeline import ROOT
from tests.unit.gate.windows import PANE_NS, series, window

PROFILES = load_profiles((ROOT / "monitoring" / "gates.yml").read_text())
PANES, AGENTS = 120, 4


@dataclass(frozen=True)
class Traffic:
    """Of one version in one pane: steps and inferences, share that fails, seconds, bytes of an agent, quality."""

    steps: int = 120
    failed: float = 0.01
    seconds: float = 0.2
    memory: float = 2e7
    quality: float = 0.85


def rows(version: str, traffic: Traffic, rng: np.random.Generator) -> list[tuple[Series, list[float]]]:
    failed = int(rng.binomial(traffic.steps, traffic.failed))
    outcomes = (("success", traffic.steps - failed), ("failure", failed))
    made = [(series("agents.steps", version, outcome=word), [1.0] * count) for word, count in outcomes if count]
    made += [
        (series("agents.inference.duration", version), list(traffic.seconds * rng.lognormal(0, 0.4, traffic.steps))),
        (series("agents.response.quality", version), list(np.clip(rng.normal(traffic.quality, 0.05, 5), 0, 1))),
    ]
    for number in range(AGENTS):
        labels = {"agent.id": f"a{number}"}
        made.append((series("agents.memory", version, **labels), [traffic.memory * rng.normal(1, 0.02)]))
        made.append((series("agents.cpu", version, **labels), [0.3 * rng.normal(1, 0.05)]))
    return made


def windows(old: Traffic, new: Traffic, shift: Traffic | None = None, panes: int = PANES) -> list[WindowBatch]:
    """Both versions beside each other; from the half on both are as much worse as ``shift`` is worse than USUAL."""
    rng = np.random.default_rng(5)
    made = []
    for pane in range(panes):
        one, two = (shifted(side, shift) if shift and pane >= panes // 2 else side for side in (old, new))
        made.append(window(pane, [*rows("1", one, rng), *rows("2", two, rng)]))
    return made


def shifted(side: Traffic, shift: Traffic) -> Traffic:
    return Traffic(
        shift.steps,
        side.failed + shift.failed - USUAL.failed,
        side.seconds * shift.seconds / USUAL.seconds,
        side.memory * shift.memory / USUAL.memory,
        side.quality + shift.quality - USUAL.quality,
    )


def judged(batches: list[WindowBatch], profile: str = "default", *, late_seconds: int = 5) -> Verdict:
    book = GateBook(PROFILES[profile], "shop")
    for batch in batches:
        book.add(batch)
    return book.verdict("2", "", PANES * PANE_NS + late_seconds * 10**9)


USUAL = Traffic()
ERRORS, SLOW, LARGE = replace(USUAL, failed=0.08), replace(USUAL, seconds=0.25), replace(USUAL, memory=2.6e7)
LEAK, POOR = replace(USUAL, memory=4e7), replace(USUAL, quality=0.7)


@pytest.mark.parametrize(
    ("profile", "candidate", "status", "failed"),
    [
        ("default", USUAL, "pass", set()),
        ("default", ERRORS, "fail", {"errors", "errors_regression"}),
        ("default", SLOW, "fail", {"inference_p95_regression"}),
        ("default", LARGE, "fail", {"memory_regression"}),
        ("default", LEAK, "fail", {"agent_memory", "memory_regression"}),
        ("default", POOR, "pass", {"quality_regression"}),  # advice there: most services do not rate their answers
        ("quality", POOR, "fail", {"quality_regression"}),
        ("quality", USUAL, "pass", set()),
    ],
)
def test_good_and_bad(profile: str, candidate: Traffic, status: str, failed: set[str]) -> None:
    found = judged(windows(USUAL, candidate), profile)
    assert {gate.name for gate in found.gates if gate.status == "fail"} == failed
    assert found.status == status, [(gate.name, gate.status, gate.reason) for gate in found.gates]


@pytest.mark.parametrize(
    "shift",
    [
        replace(USUAL, steps=360),
        replace(USUAL, steps=20),
        replace(USUAL, seconds=3.0),
        replace(USUAL, failed=0.3),
        Traffic(steps=240, failed=0.2, seconds=1.5, memory=3.8e7, quality=0.5),
    ],
    ids=["three times the traffic", "a sixth of it", "slow", "failing", "all at once"],
)
@pytest.mark.parametrize("profile", ["default", "quality"])
def test_a_shift_that_hits_both_versions_fails_no_gate(profile: str, shift: Traffic) -> None:
    """A limit that both break holds the version: nobody knows what it would do without the trouble."""
    found = judged(windows(USUAL, USUAL, shift), profile)
    assert [gate.name for gate in found.gates if gate.status == "fail"] == []


@pytest.mark.parametrize("candidate", [ERRORS, SLOW, LARGE])
def test_a_bad_version_is_found_behind_a_shift_too(candidate: Traffic) -> None:
    assert judged(windows(USUAL, candidate, replace(USUAL, seconds=0.6, failed=0.03))).status == "fail"


@pytest.mark.parametrize("candidate", [USUAL, ERRORS, SLOW])
def test_too_little_and_stale_data_hold(candidate: Traffic) -> None:
    for found in (
        judged([]),
        judged(windows(USUAL, candidate, panes=6)[:6]),
        judged(windows(USUAL, candidate), late_seconds=200),
    ):
        assert (found.status, found.action) == ("inconclusive", "hold")


def test_windows_that_come_again_in_another_order_change_nothing() -> None:
    """After a restart of workers windows come twice, and of a topic's partitions in any order."""
    batches = windows(USUAL, SLOW)
    straight, again = judged(batches), judged([*reversed(batches), *batches[::3]])
    for one, other in zip(straight.gates, again.gates, strict=True):  # sums differ in their last digits
        assert (one.name, one.status, one.samples, one.windows) == (
            other.name,
            other.status,
            other.samples,
            other.windows,
        )
