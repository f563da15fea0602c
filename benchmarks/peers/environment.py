"""Python environments for the peers, apart from the project's own: made once by uv, in the user's cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from streams.errors import DependencyMissing, ServiceUnavailable

INSTALL_SECONDS: Final = 600.0


def python(cache_folder: Path, requirements: Sequence[str]) -> Path:
    """The interpreter of an environment that holds pinned packages; installs them on first use.

    Args:
        cache_folder: of the user; the environment is a folder in it, named after a hash of the requirements.
        requirements: ``name==version`` each; none: the interpreter that runs us.

    Raises:
        DependencyMissing: uv is not installed.
        ServiceUnavailable: the packages could not be installed.
    """
    if not requirements:
        return Path(sys.executable)
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    folder = cache_folder / "peers" / f"python-{digest}"
    ready = folder / "ready"
    with locked(folder.parent / "make.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of an installation that was interrupted
            _install(folder, requirements)
            ready.touch()
    return folder / "bin" / "python"


def _install(folder: Path, requirements: Sequence[str]) -> None:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        raise DependencyMissing("uv is not installed; run: make setup")
    run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements])


def run(command: Sequence[str]) -> None:
    """Runs a program of an installation.

    Raises:
        ServiceUnavailable: it failed; the message ends with its last line.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ServiceUnavailable(f"{Path(command[0]).name}: no end after {INSTALL_SECONDS:g} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        raise ServiceUnavailable(f"{Path(command[0]).name} failed: {said[-1]}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time makes an environment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A folder that is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="making-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
