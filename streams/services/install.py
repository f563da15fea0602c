"""Programs that are Debian packages: found, or installed where root and apt exist.

``python -m streams.services.install`` installs what is missing and says what it did; exit code 1 if it could not.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from streams.errors import DependencyMissing

PACKAGES: Final = {"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager"}
"""Program to the Debian package that holds it (and promtool, amtool)."""

_APT_SECONDS: Final = 600.0


def program(name: str) -> Path:
    """Where a program is.

    Raises:
        DependencyMissing: it is not on PATH; the message says how to get it.
    """
    found = shutil.which(name)
    if found is None:
        raise DependencyMissing(f"{name} is not installed; on Debian, as root: {_command_line([PACKAGES[name]])}")
    return Path(found)


def install() -> list[str]:
    """Install the packages whose programs are missing; safe to call from several processes.

    Returns:
        The packages that were installed now; empty if all were there.

    Raises:
        DependencyMissing: packages are missing and this is not root, there is no apt, or apt failed.
    """
    if not _missing():
        return []
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise DependencyMissing(
            f"{', '.join(_missing())} not installed, and only root on a machine with apt can: "
            f"{_command_line(_missing())}"
        )
    with (Path(tempfile.gettempdir()) / "agent-streams-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = _missing()
        if packages:
            _apt("update")
            _apt("install", "-y", "--no-install-recommends", *packages)
    return packages


def main() -> int:
    """Console entry."""
    try:
        installed = install()
    except DependencyMissing as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(f"installed: {', '.join(installed)}\n" if installed else "nothing to install\n")
    return 0


def _missing() -> list[str]:
    return [package for name, package in PACKAGES.items() if shutil.which(name) is None]


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
