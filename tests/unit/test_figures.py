"""A figure that stands in two documents is the same figure."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OTHERS = r"^\| (Kafka Streams|Bytewax|Quix Streams|Faust with a windowed Table|confluent-kafka)[^|]* \| ([\d.]+) \|"


def printed_by_peers() -> str:
    (row,) = re.findall(
        r"^\| `python -m benchmarks.throughput --peers`.+$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return str(row)


def test_the_comparison_has_the_figures_of_the_readme() -> None:
    compared = re.findall(OTHERS, (ROOT / "docs/COMPARISON.md").read_text(), re.MULTILINE)
    assert len(compared) == 5
    for name, thousands in compared:
        assert re.search(rf"{name}[^;]*? {round(float(thousands) * 1000):,}[ .]", printed_by_peers()), (name, thousands)


def test_the_comparison_has_our_ratio_to_a_table() -> None:
    (times,) = re.findall(
        r"^\| agent-streams \| \d+ \((\d+) times the Table\)", (ROOT / "docs/COMPARISON.md").read_text(), re.MULTILINE
    )
    assert f"we do {times} times that" in printed_by_peers()
