"""Use of resources: from windows to parts, from parts to forecasts; sources that lag, budgets, bounds, restarts."""

from __future__ import annotations

import math

import pytest

from streams.detect.capacity import MAX_AGE_STEPS, CapacityOperator, Users
from streams.domain.capacity import Capacity, Resource, Use, Uses, decode_uses, encode_uses
from streams.domain.selector import Selector
from streams.errors import StateVersionError
from tests.unit.window_batches import batch, series

STEP_NS = 300 * 10**9
DAY_NS = 86_400 * 10**9
FIRST = 20_000 * DAY_NS
AGENTS = Resource("agents", Selector("agents.active"), "sum", 50.0, ("environment",))
MEMORY = Resource("memory", Selector("agents.memory"), "max", 100.0, ("agent.id",))
TOKENS = Resource("tokens", Selector("tokens", (("what", ("in*",)),)), "increase", 1000.0, (), 86_400.0)


def part(step: int, value: float, source: str = "t/0/0", resource: Resource = AGENTS, who: str = "prod") -> Uses:
    labels = tuple((name, who) for name in resource.group_by)
    start_ns = FIRST + step * STEP_NS
    return Uses(source, start_ns, start_ns + STEP_NS, [Use(resource.name, labels, value)])


def operator(*resources: Resource, **more: int) -> CapacityOperator:
    return CapacityOperator(resources or (AGENTS,), STEP_NS, **more)


def live(made: CapacityOperator, uses: Uses) -> None:
    """The log takes a part when its step has ended."""
    made.apply(uses, uses.end_ns)


def only(made: CapacityOperator) -> Capacity:
    (found,) = made.capacities()
    return found


def test_series_become_parts_by_their_statistic() -> None:
    rows = {
        series("agents.active", environment="prod", agent__id="a"): [1, 1, 1],
        series("agents.active", environment="prod", agent__id="b"): [1, 3],
        series("agents.active", environment="test", agent__id="c"): [1],
        series("agents.memory", agent__id="a"): [5, 9, 7],
        series("tokens", "histogram", what="input"): [10, 20],
        series("tokens", "histogram", what="output"): [1000],
        series("other"): [1],
    }
    uses = Users((AGENTS, MEMORY, TOKENS)).of(batch(3, rows, partition=2))
    assert uses is not None
    assert uses.source == "agents.metrics/2/0"
    assert [tuple(use) for use in uses.uses] == [
        ("agents", (("environment", "prod"),), 3.0),
        ("agents", (("environment", "test"),), 1.0),
        ("memory", (("agent.id", "a"),), 9.0),
        ("tokens", (), 30.0),
    ]
    assert decode_uses(encode_uses(uses)) == uses


def test_windows_without_use_make_no_part() -> None:
    assert Users((AGENTS,)).of(batch(0, {series("other"): [1]})) is None


def test_parts_of_a_step_add_up_over_sources_and_repeat_without_effect() -> None:
    made = operator()
    for step in range(3):
        for source in ("t/0/0", "t/1/0", "t/0/0"):
            live(made, part(step, 10, source))
    live(made, part(3, 1))
    live(made, part(3, 1, "t/1/0"))
    assert only(made).used_ratio == 20 / 50


def test_a_step_waits_for_a_source_that_lags_but_not_for_ever() -> None:
    made = operator()
    for step in range(2):
        for source in ("t/0/0", "t/1/0"):
            live(made, part(step, 10, source))
    live(made, part(2, 10))
    completed = made.completed
    live(made, part(3, 10))
    assert made.completed == completed, "the second source has not said its part of the third step"
    made.apply(part(2, 10, "t/1/0"), part(3, 10).end_ns + 1)
    assert only(made).used_ratio == 20 / 50
    for step in range(4, 12):
        live(made, part(step, 10))
    assert only(made).used_ratio == 10 / 50
    live(made, part(3, 10, "t/1/0"))
    assert made.fates["late"] == 1


def test_partitions_that_are_read_again_one_after_the_other_add_up() -> None:
    """After an outage: all of one partition in a second, then all of the other."""
    made = operator()
    now_ns = FIRST + DAY_NS
    for place, source in enumerate(("t/0/0", "t/1/0")):
        for step in range(40):
            made.apply(part(step, 10, source), now_ns + place * 10**9 + step)
    for source in ("t/0/0", "t/1/0"):
        made.apply(part(40, 10, source), now_ns + 300 * 10**9)
    assert only(made).used_ratio == 20 / 50
    assert made.fates == {"applied": 82}


def test_no_more_than_a_day_is_left_open() -> None:
    made = operator()
    for step in range(2 * MAX_AGE_STEPS):
        made.apply(part(step, 10), FIRST)
    assert len(made.snapshot()) < 40_000


def test_growth_becomes_a_forecast() -> None:
    made = operator()
    for step in range(42):
        live(made, part(step, 10 + 0.5 * step))
    capacity = only(made)
    assert capacity.used_ratio == pytest.approx(30 / 50)
    assert capacity.outlook is not None
    assert capacity.outlook.expected == pytest.approx(20 / 0.5 * 300)


def test_a_budget_is_spent_within_its_period_or_not_at_all() -> None:
    found = {}
    for rate in (2.0, 8.0):
        made = operator(TOKENS)
        for step in range(62):
            live(made, part(step, rate, resource=TOKENS))
        found[rate] = only(made)
    assert found[2.0].used_ratio == pytest.approx(61 * 2 / 1000)
    assert found[2.0].outlook == (math.inf, math.inf, math.inf), "576 of 1000 by the end of the day"
    assert found[8.0].outlook is not None
    assert found[8.0].outlook.expected == pytest.approx((1000 - 61 * 8) / 8 * 300, rel=0.01)


def test_a_budget_begins_anew_with_its_period() -> None:
    made = operator(TOKENS)
    for step in range(288 + 21):
        live(made, part(step, 5.0, resource=TOKENS))
    capacity = only(made)
    assert capacity.used_ratio == pytest.approx(20 * 5 / 1000)
    assert capacity.outlook is not None
    assert capacity.outlook.expected == pytest.approx(180 * 300, rel=0.05)


def test_groups_that_are_gone_are_not_shown_and_then_forgotten() -> None:
    made = operator(MEMORY)
    live(made, part(0, 5, resource=MEMORY, who="gone"))
    for step in range(10):
        live(made, part(step, 5, resource=MEMORY, who="there"))
    assert [capacity.labels for capacity in made.capacities()] == [(("agent.id", "there"),)]
    assert len(made) == 2
    for step in range(10, MAX_AGE_STEPS + 20):
        live(made, part(step, 5, resource=MEMORY, who="there"))
    assert len(made) == 1


def test_the_bound_refuses_new_groups_while_all_are_in_use() -> None:
    made = operator(MEMORY, max_groups=2)
    for step in range(4):
        for who in "abc":
            live(made, part(step, 5, f"t/{who}/0", MEMORY, who))
    assert len(made) == 2
    assert made.fates["refused"] == 4
    for step in range(4, 40):
        live(made, part(step, 5, "t/c/0", MEMORY, "c"))
    assert {capacity.labels[0][1] for capacity in made.capacities()} == {"c"}


def test_a_snapshot_anywhere_changes_nothing() -> None:
    stayed, through = operator(AGENTS, TOKENS), operator(AGENTS, TOKENS)
    for step in range(320):
        for one in (part(step, step % 7), part(step, 3.0, "t/1/0", TOKENS)):
            if step % 9 == 0:
                again = operator(AGENTS, TOKENS)
                assert again.restore(through.snapshot()) == ""
                through = again
            live(stayed, one)
            live(through, one)
    assert through.snapshot() == stayed.snapshot()
    assert through.capacities() == stayed.capacities()


def test_a_snapshot_that_does_not_fit_says_why() -> None:
    made = operator()
    live(made, part(0, 1))
    data = made.snapshot()
    assert "steps" in CapacityOperator((AGENTS,), 60 * 10**9).restore(data)
    assert "damaged" in made.restore(b"{}")
    assert len(made) == 0
    with pytest.raises(StateVersionError):
        made.restore(data.replace(b'"v":1', b'"v":9', 1))
    regrouped = Resource("agents", AGENTS.selector, "sum", 50.0, ("service.name",))
    other = operator(regrouped)
    assert other.restore(data) == ""
    assert len(other) == 0


def test_resources_that_are_gone_are_counted() -> None:
    made = operator(MEMORY)
    live(made, part(0, 1))
    assert made.fates == {"unknown": 1}
