"""Folders of CSV files: the same tree, the same rows, one score each; what cannot be read is said."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from streams.app.recordings import replay_folder
from streams.errors import ConfigurationError


def write(path: Path, rows: list[list[str]], header: str = "timestamp,value") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *[",".join(row) for row in rows]]) + "\n")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as given:
        return list(csv.DictReader(given))


def test_the_same_tree_with_scores(tmp_path: Path) -> None:
    rng = random.Random(1)
    minutes = [f"2020-01-{1 + i // 1440:02}T{i // 60 % 24:02}:{i % 60:02}:00" for i in range(1000)]
    quiet = [[stamp, f"{rng.gauss(10, 1):.3f}"] for stamp in minutes]
    strange = [list(row) for row in quiet]
    strange[800][1] = "100.0"
    write(tmp_path / "in" / "a" / "quiet.csv", quiet)
    write(tmp_path / "in" / "b" / "c" / "strange.csv", strange)
    (tmp_path / "in" / "labels.json").write_text("{}")
    figures = replay_folder(tmp_path / "in", tmp_path / "out")
    assert (figures["files"], figures["points"], figures["skipped"], figures["missing"]) == (2, 2000, 0, 0)
    assert figures["points_per_second"] > 0
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()) == [
        "a/quiet.csv",
        "b/c/strange.csv",
    ]
    found = rows_of(tmp_path / "out" / "b" / "c" / "strange.csv")
    assert list(found[0]) == ["timestamp", "value", "anomaly_score"]
    assert [[row["timestamp"], row["value"]] for row in found] == strange
    scores = [float(row["anomaly_score"]) for row in found]
    assert max(scores) == scores[800] > 0.9999
    assert [float(row["anomaly_score"]) for row in rows_of(tmp_path / "out" / "a" / "quiet.csv")][:800] == scores[:800]


def test_rows_that_are_none_are_counted(tmp_path: Path) -> None:
    write(
        tmp_path / "in" / "x.csv", [["1", "5"], ["1", "never"], ["n/a", "6"], ["7"], ["inf", "8"]], "Value, TimeStamp"
    )
    figures = replay_folder(tmp_path / "in", tmp_path / "out")
    assert (figures["points"], figures["skipped"], figures["missing"]) == (3, 2, 2)
    assert [row["timestamp"] for row in rows_of(tmp_path / "out" / "x.csv")] == ["5", "6", "8"]


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no \.csv file"):
        replay_folder(tmp_path, tmp_path / "out")
    write(tmp_path / "in" / "x.csv", [["1", "2"]], "time,reading")
    with pytest.raises(ConfigurationError, match="must name timestamp and value"):
        replay_folder(tmp_path / "in", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="is the source itself"):
        replay_folder(tmp_path / "in", tmp_path / "in")
    (tmp_path / "in" / "x.csv").write_bytes(b"timestamp,value\n\xff\xfe,1\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        replay_folder(tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("x.csv"))
