"""The rules file under the worker's feet: taken when it can be used, kept out when not, and both counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from streams.app.rulewatch import RuleWatch
from streams.correlate.rule import Thresholds
from streams.publish.health import make_health

GOOD = """
version: 1
rules:
  NAME:
    {metric: load, statistic: max, window_seconds: 20, group_by: [], summary: s,
     levels: [{severity: high, threshold: 3}]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "rules.yml"
    found.write_text(GOOD.replace("NAME", "One"))
    return found


def watch(path: Path) -> tuple[RuleWatch, list[list[str]], CollectorRegistry]:
    registry, taken = CollectorRegistry(), []

    def take(found: Thresholds) -> None:
        taken.append([rule.name for rule in found.rules])

    return RuleWatch(path, 10.0, take, make_health(registry, version="")), taken, registry


def counted(registry: CollectorRegistry) -> tuple[float, float, float]:
    reloads = [registry.get_sample_value("streams_rules_reloads_total", {"outcome": o}) for o in ("loaded", "refused")]
    return (
        reloads[0] or 0.0,
        reloads[1] or 0.0,
        registry.get_sample_value("streams_rules_last_reload_successful") or 0.0,
    )


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    watched, taken, registry = watch(path)
    watched.look()
    assert taken == []
    assert counted(registry) == (0, 0, 1)


def test_a_new_file_is_taken_once(path: Path) -> None:
    watched, taken, registry = watch(path)
    path.write_text(GOOD.replace("NAME", "Another"))
    watched.look()
    watched.look()
    assert taken == [["Another"]]
    assert counted(registry) == (1, 0, 1)


@pytest.mark.parametrize(
    "text",
    ["rules: [", "version: 1\nrules: {X: {}}", GOOD.replace("window_seconds: 20", "window_seconds: 15"), "\udcff"],
)
def test_what_cannot_be_used_is_refused_once_and_the_next_good_file_heals(path: Path, text: str) -> None:
    watched, taken, registry = watch(path)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    watched.look()
    watched.look()
    assert taken == []
    assert counted(registry) == (0, 1, 0)
    path.write_text(GOOD.replace("NAME", "Healed"))
    watched.look()
    assert taken == [["Healed"]]
    assert counted(registry) == (1, 1, 1)


def test_a_file_that_is_gone_is_refused(path: Path) -> None:
    watched, taken, registry = watch(path)
    path.unlink()
    watched.look()
    assert taken == []
    assert counted(registry) == (0, 1, 0)
