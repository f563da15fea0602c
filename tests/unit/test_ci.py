"""``.ci/run``: the exit code of the tests, the summary last, and no pass without a test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSED = "============ 12 passed in 3.21s ============"
LONG = "===== 12 passed, 1 warning in 125.40s (0:02:05) ====="
FAILED = "=== 1 failed, 11 passed in 3.21s ==="
HOUSE = "17 passed in 0.90s"


def ci(folder: Path, *lines: str, code: int) -> tuple[int, str]:
    """Runs the script where ``make test`` prints the lines and ends with the code."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    echo = "".join(f"\t@echo '{line}'\n" for line in lines)
    (folder / "Makefile").write_text(f"test:\n{echo}\t@exit {code}\n")
    done = subprocess.run([folder / ".ci/run"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("lines", "code", "passes", "last"),
    [
        ((HOUSE, PASSED, "late noise"), 0, True, PASSED),
        ((HOUSE, LONG), 0, True, LONG),
        ((HOUSE, FAILED), 1, False, FAILED),
        ((HOUSE, PASSED), 2, False, PASSED),
        ((HOUSE,), 0, False, "no test summary"),
        ((HOUSE, "=== no tests ran in 0.01s ==="), 0, False, "=== no tests ran in 0.01s ==="),
        ((), 0, False, "no test summary"),
        ((HOUSE,), 5, False, "no test summary"),
    ],
)
def test_ci(tmp_path: Path, lines: tuple[str, ...], code: int, passes: bool, last: str) -> None:
    status, output = ci(tmp_path, *lines, code=code)
    assert (status == 0) is passes
    assert output.splitlines()[-1] == last
