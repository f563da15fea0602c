"""Two results of a benchmark, by a table of what changed and what is said."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams import cli
from streams.errors import ConfigurationError
from streams.gate.results import compare_results, figures, overall


@pytest.mark.parametrize(
    ("old", "new", "verdict", "status"),
    [
        ({"events_per_second": 100}, {"events_per_second": 95}, "same", "pass"),
        ({"events_per_second": 100}, {"events_per_second": 80}, "worse", "fail"),
        ({"events_per_second": 100}, {"events_per_second": 130}, "better", "pass"),
        ({"restore_seconds": 2.0}, {"restore_seconds": 2.5}, "worse", "fail"),
        ({"restore_seconds": 2.0}, {"restore_seconds": 1.5}, "better", "pass"),
        ({"lost": 0}, {"lost": 0}, "same", "pass"),
        ({"lost": 0}, {"lost": 1}, "worse", "fail"),
        ({"restore_seconds": 2.0}, {}, "missing", "inconclusive"),
        ({"restore_seconds": 2.0}, {"restore_seconds": None}, "missing", "inconclusive"),
        ({"colour": 1}, {"colour": 9}, "not judged", "inconclusive"),
        ({}, {"restore_seconds": 2.0}, "new", "inconclusive"),
        ({"delta_ms": -4.0}, {"delta_ms": -2.0}, "worse", "fail"),
    ],
)
def test_single_numbers(old: dict[str, Any], new: dict[str, Any], verdict: str, status: str) -> None:
    changes = compare_results(old, new)
    assert [change.verdict for change in changes] == [verdict]
    assert overall(changes) == status


def test_repeated_measurements_must_differ_beyond_chance() -> None:
    rng = random.Random(2)

    def samples(mean: float, spread: float) -> dict[str, list[float]]:
        return {"scrape_seconds": [rng.gauss(mean, spread) for _ in range(12)]}

    assert compare_results(samples(1, 0.02), samples(1.2, 0.02))[0].verdict == "worse"
    noisy = {"scrape_seconds": [1.0, 3.0, 0.5, 2.0, 4.0]}, {"scrape_seconds": [3.0, 0.6, 2.5, 4.0, 1.1]}
    change = compare_results(*noisy)[0]
    assert change.change_ratio > 0.1
    assert (change.verdict, overall([change])) == ("undecided", "inconclusive")


def test_the_caller_says_which_way_is_good() -> None:
    assert compare_results({"colour": 1}, {"colour": 9}, lower=["col*"])[0].verdict == "worse"
    assert compare_results({"wait_seconds": 1}, {"wait_seconds": 9}, higher=["wait*"])[0].verdict == "better"


def test_objects_in_lists_are_found_by_their_names_not_their_places() -> None:
    old = {"benchmarks": [{"name": "a", "stats": {"mean": 1.0}}, {"name": "b", "stats": {"mean": 5.0}}]}
    new = {"benchmarks": [old["benchmarks"][1], old["benchmarks"][0]]}
    assert dict(figures(old)) == {"benchmarks[a].stats.mean": (1.0,), "benchmarks[b].stats.mean": (5.0,)}
    assert overall(compare_results(old, new)) == "pass"


def test_a_tolerance_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="tolerance is 0"):
        compare_results({}, {}, tolerance_ratio=0)


@pytest.mark.parametrize(("now", "code", "says"), [(100, 0, "nothing"), (50, 1, "WORSE"), (None, 2, "undecided")])
def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], now: float | None, code: int, says: str
) -> None:
    old, new, summary = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "summary.md"
    old.write_text('a line of text\n{"events_per_second": 100}\n')
    new.write_text(json.dumps({"events_per_second": now}))
    assert cli.main(["gate", "compare", str(old), str(new), "--summary", str(summary)]) == code
    assert capsys.readouterr().out.startswith(says)
    assert says in summary.read_text()
    assert cli.main(["gate", "compare", str(old), str(new), "--json"]) == code
    assert orjson.loads(capsys.readouterr().out)["figures"][0]["name"] == "events_per_second"


def test_a_file_without_json_is_undecided_and_says_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_text("nothing")
    assert cli.main(["gate", "compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "holds no JSON object; write the output" in capsys.readouterr().err
