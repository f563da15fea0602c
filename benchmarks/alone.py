"""A benchmark in a process of its own: what was compiled, cached or allocated before does not count."""

from __future__ import annotations

import subprocess
import sys


def alone(module: str, *arguments: str) -> str:
    """Runs ``benchmarks.module`` with arguments.

    Returns:
        The last line that it printed; what it says on stderr is shown.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().splitlines()[-1]
