from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.gate.profile import load_profiles

ROOT = Path(__file__).parents[3]
CHECK = "version: 1\nprofiles:\n  p:\n    checks:\n      c: {%s}\n"
COMPARISON = "version: 1\nprofiles:\n  p:\n    comparisons:\n      c: {%s}\n"


def test_the_shipped_file_reads_and_every_profile_blocks_something():
    profiles = load_profiles((ROOT / "monitoring" / "gates.yml").read_text())
    assert "default" in profiles
    assert all(any(gate.blocking for gate in profile.gates) for profile in profiles.values())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("version: 2\nprofiles: {}", "version is 2"),
        ("version: 1\nprofiles:\n  p: {}", "at least one check"),
        ("version: 1\n", "mapping"),
        ("[", "not YAML"),
        (CHECK % "metric: m, statistic: p90, op: '<', threshold: 1", "p99"),
        (CHECK % "metric: m, statistic: p95, op: '==', threshold: 1", "op"),
        (CHECK % "metric: m, statistic: p95, op: '<', threshold: .nan", "a number"),
        (CHECK % "metric: m, statistic: p95, op: '<', threshold: 1, blockng: true", "blockng"),
        (CHECK % "metric: m, statistic: p95, op: '<', threshold: 1, blocking: 1", "true or false"),
        (COMPARISON % "metric: m, statistic: max, max_change: 0.1", "compared between versions"),
        (COMPARISON % "metric: m, statistic: p95, max_change: 0.1, direction: higher", "lower for percentiles"),
        (COMPARISON % "metric: m, statistic: p95, max_change: 0.1, p_value: 0.7", "below 0.5"),
        (COMPARISON % "metric: m, statistic: p95, max_change: -1", "at least 0"),
    ],
)
def test_a_wrong_file_says_what_to_write(text, word):
    with pytest.raises(ConfigurationError, match=word):
        load_profiles(text)
