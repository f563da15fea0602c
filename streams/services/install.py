"""Programs that are Debian packages: found, or installed where root and apt exist.

``python -m streams.services.install`` installs what is missing and says what it did (with ``--browser`` Chromium too);
exit code 1 if it could not.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streams.errors import DependencyMissing

PACKAGES: Final = {"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager"}
"""Program to the Debian package that holds it (and promtool, amtool)."""
BROWSER: Final = {"chromium": "chromium"}
"""For the tests of the page."""

_APT_SECONDS: Final = 600.0


def program(name: str) -> Path:
    """Where a program is.

    Raises:
        DependencyMissing: it is not on PATH; the message says how to get it.
    """
    found = shutil.which(name)
    if found is None:
        raise DependencyMissing(
            f"{name} is not installed; on Debian, as root: {_command_line([(PACKAGES | BROWSER)[name]])}"
        )
    return Path(found)


def install(programs: Mapping[str, str] = PACKAGES) -> list[str]:
    """Install the packages whose programs are missing; safe to call from several processes.

    Args:
        programs: as :data:`PACKAGES`.

    Returns:
        The packages that were installed now; empty if all were there.

    Raises:
        DependencyMissing: packages are missing and this is not root, there is no apt, or apt failed.
    """
    if not _missing(programs):
        return []
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise DependencyMissing(
            f"{', '.join(_missing(programs))} not installed, and only root on a machine with apt can: "
            f"{_command_line(_missing(programs))}"
        )
    with (Path(tempfile.gettempdir()) / "agent-streams-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = _missing(programs)
        if packages:
            _apt("update")
            _apt("install", "-y", "--no-install-recommends", *packages)
    return packages


def main() -> int:
    """Console entry."""
    try:
        installed = install(PACKAGES | BROWSER if "--browser" in sys.argv[1:] else PACKAGES)
    except DependencyMissing as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(f"installed: {', '.join(installed)}\n" if installed else "nothing to install\n")
    return 0


def _missing(programs: Mapping[str, str]) -> list[str]:
    return [package for name, package in programs.items() if shutil.which(name) is None]


def _command_line(packages: list[str]) -> str:
    return f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"


def _apt(*arguments: str) -> None:
    # RUNLEVEL=1 keeps the packages' scripts from starting them as system services on 0.0.0.0.
    command = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    command += ["-o", "DPkg::Lock::Timeout=120", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_APT_SECONDS, check=False)
    if done.returncode != 0:
        raise DependencyMissing(f"apt-get {arguments[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
