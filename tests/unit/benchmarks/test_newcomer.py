from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from benchmarks.newcomer import COUNTER, address, five_lines

README = Path(__file__).parents[3] / "README.md"


def test_the_readmes_program_is_found_and_sends_to_the_broker() -> None:
    lines = five_lines(README.read_text(encoding="utf-8"), "127.0.0.1:1234")
    ast.parse(lines)
    assert 'Emitter("127.0.0.1:1234"' in lines
    assert "9092" not in lines
    asked = re.findall(r'\w+="\w+"', COUNTER)
    assert asked
    assert all(label in lines for label in asked)


def test_a_readme_without_it_is_said_so() -> None:
    with pytest.raises(SystemExit, match="no program"):
        five_lines("```python\nprint(1)\n```", "127.0.0.1:1234")


def test_the_newest_address_counts() -> None:
    said = "    kafka         127.0.0.1:1\n  x\n    page          http://127.0.0.1:2/\n    kafka         127.0.0.1:3\n"
    assert (address(said, "kafka"), address(said, "page")) == ("127.0.0.1:3", "http://127.0.0.1:2/")
    with pytest.raises(SystemExit, match="has no prometheus"):
        address(said, "prometheus")
