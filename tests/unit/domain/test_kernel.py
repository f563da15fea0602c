"""What is compiled is compiled anew when anything that went into it is another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INNER = """
from streams.domain.kernel import kernel
FACTOR = 2
TABLE = (5, 7)

@kernel
def inner(x):
    return x + 1
"""
OUTER = """
from inner import FACTOR, TABLE, inner
from streams.domain.kernel import kernel

@kernel
def outer(x):
    return inner(x) * FACTOR + TABLE[0]

if __name__ == "__main__":
    print(outer(10), sum(outer.stats.cache_hits.values()))
"""


def run(folder: Path) -> list[int]:
    """The result in a process of its own, and whether it was on the disk."""
    path = os.pathsep.join((str(folder), *sys.path))
    done = subprocess.run(
        [sys.executable, str(folder / "outer.py")],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    return [int(number) for number in done.stdout.split()]


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        pytest.param("x + 1", "x + 3", 31, id="a kernel it calls"),
        pytest.param("FACTOR = 2", "FACTOR = 4", 49, id="a number it reads"),
        pytest.param("(5, 7)", "(6, 7)", 28, id="a table it reads"),
    ],
)
def test_a_change_in_another_file_is_seen(tmp_path: Path, old: str, new: str, result: int) -> None:
    (tmp_path / "inner.py").write_text(INNER)
    (tmp_path / "outer.py").write_text(OUTER)
    assert run(tmp_path) == [27, 0]
    assert run(tmp_path) == [27, 1]
    (tmp_path / "inner.py").write_text(INNER.replace(old, new))
    assert run(tmp_path) == [result, 0]
