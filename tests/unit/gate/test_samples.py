import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.selector import Selector
from streams.gate import samples
from streams.gate.profile import Source
from tests.unit.gate.windows import PANE_NS, series, window

LATENCY = Source("p95", (Selector("latency"),))
ERRORS = Source("ratio", (Selector("steps", (("outcome", ("failure",)),)),), (Selector("steps"),))
V1 = {"service.name": "shop", "service.version": "1"}


def gathered(source, *batches, where=V1):
    return samples.gather(batches, source, where, 10)


def test_only_the_version_and_the_metric_that_were_asked_for_count():
    batch = window(
        0,
        [
            (series("latency", "1"), [1, 2]),
            (series("latency", "2"), [100]),
            (series("other", "1"), [7]),
            (series("latency", "1", service="else"), [9]),
        ],
    )
    pane = gathered(LATENCY, batch)[0]
    assert (pane.count, pane.sum, pane.maximum) == (2, 3.0, 2.0)


def test_a_window_that_comes_twice_counts_once_and_partitions_add_up():
    one, other = window(0, [(series("latency", "1"), [1])]), window(0, [(series("latency", "1"), [2])], partition=1)
    assert gathered(LATENCY, one, one, other)[0].count == 2


def test_windows_of_another_size_are_left_out():
    assert samples.gather([window(0, [(series("latency", "1"), [1])])], LATENCY, V1, 60) == {}


def test_a_ratio_has_its_own_denominator():
    good, bad = series("steps", "1", outcome="success"), series("steps", "1", outcome="failure")
    panes = gathered(ERRORS, window(0, [(good, [9]), (bad, [1])]))
    assert samples.number(panes, "ratio") == pytest.approx(0.1)
    assert samples.observations(panes, "ratio") == 10


def test_nothing_observed_is_none_not_zero():
    assert samples.number({}, "mean") is None
    assert samples.number({}, "p95", 0.95) is None


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_a_percentile_over_panes_is_within_the_sketch_error_of_all_values(quantile):
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 0.7, (20, 500))
    panes = gathered(LATENCY, *(window(i, [(series("latency", "1"), v)]) for i, v in enumerate(values)))
    assert samples.number(panes, "p95", quantile) == pytest.approx(np.quantile(values, quantile), rel=0.02)


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6), min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_the_share_above_the_place_of_a_quantile_is_what_is_left(values, quantile):
    pane = gathered(LATENCY, window(0, [(series("latency", "1"), values)]))[0]
    place = samples.place_of(samples.density([pane], [1.0]), quantile)
    assert samples.above(pane, place) == pytest.approx(1 - quantile, abs=1e-9)


@pytest.mark.parametrize("value", [0.25, 3.0, -3.0])
def test_a_shifted_place_is_the_place_of_the_multiple(value):
    pane = gathered(LATENCY, window(0, [(series("latency", "1"), [value])]))[0]
    place = samples.place_of(samples.density([pane], [1.0]), 0.5)
    assert samples.value_at(samples.shifted(place, 1.3)) / samples.value_at(place) == pytest.approx(1.3, rel=0.02)


def test_dumped_panes_come_back():
    panes = gathered(LATENCY, window(0, [(series("latency", "1"), [1, 2])]), window(5, [(series("latency", "1"), [3])]))
    assert samples.load(samples.dump(panes)) == panes


def test_the_oldest_panes_beyond_the_bound_are_left_out(monkeypatch):
    monkeypatch.setattr(samples, "MAX_PANES", 2)
    batches = [window(i, [(series("latency", "1"), [1])]) for i in range(3)]
    assert list(gathered(LATENCY, *batches)) == [PANE_NS, 2 * PANE_NS]
