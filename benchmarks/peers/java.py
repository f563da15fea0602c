"""Kafka Streams: its jars, and our source for it compiled. Made once, in the user's cache folder."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Final

from benchmarks.peers.environment import locked, run, scratch
from streams.errors import DependencyMissing, ServiceUnavailable
from streams.services import jars

SOURCE: Final = Path(__file__).parent / "kafka_streams" / "Windows.java"
LIBRARIES: Final = f"org.apache.kafka:kafka-streams:{jars.KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
COMPILER: Final = "org.eclipse.jdt:ecj:3.38.0"
"""Where there is no javac: Eclipse's compiler is one jar and needs a Java runtime only (17 or newer)."""
RELEASE: Final = "17"
FLAGS: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
"""The serial collector: with one stream thread on two cores the quickest per CPU second."""


def command(cache_folder: Path) -> list[str]:
    """Runs the program; its arguments are to be added.

    Raises:
        DependencyMissing: no Java runtime, or no resolver of jars.
        ServiceUnavailable: the jars could not be downloaded, or the source does not compile.
    """
    runtime = jars.java()
    libraries = resolved(cache_folder, LIBRARIES)
    path = ":".join(map(str, libraries))
    classes = compiled(cache_folder, runtime, path)
    return [str(runtime), *FLAGS, "-cp", f"{classes}:{path}", SOURCE.stem]


def resolved(cache_folder: Path, coordinates: str) -> list[Path]:
    """The jars of some coordinates and of what they need; downloads them on first use (Kafka Streams: 100 MB)."""
    folder = cache_folder / "peers" / f"jars-{digest(coordinates.encode())}"
    with locked(folder.parent / "make.lock"):
        if not folder.exists():
            _resolve(folder, coordinates)
    return sorted(folder.glob("*.jar"))


def _resolve(folder: Path, coordinates: str) -> None:
    if importlib.util.find_spec("jgo") is None:
        raise DependencyMissing("no resolver of jars (jgo); run: make setup")
    with scratch(folder.parent) as work:
        resolver = [sys.executable, "-m", "jgo", "--cache-dir", str(work / "cache"), "--repo-cache", str(work / "m2")]
        run([*resolver, "--resolver", "python", "--class-path-only", "info", "classpath", coordinates])
        (work / "ready").mkdir()
        found = list((work / "cache").rglob("*.jar"))
        if not found:
            raise ServiceUnavailable(f"the resolver found no jar for {coordinates}")
        for jar in found:
            shutil.copyfile(jar, work / "ready" / jar.name)
        (work / "ready").rename(folder)


def compiled(cache_folder: Path, runtime: Path, class_path: str) -> Path:
    """The folder of classes, by javac or by Eclipse's compiler."""
    folder = cache_folder / "peers" / f"classes-{digest(SOURCE.read_bytes() + LIBRARIES.encode())}"
    compiler = compiler_command(cache_folder, runtime, shutil.which("javac")) if not folder.exists() else []
    with locked(folder.parent / "make.lock"):
        if not folder.exists():
            with scratch(folder.parent) as work:
                options = ["--release", RELEASE, "-nowarn", "-cp", class_path, "-d", str(work / "classes")]
                run([*compiler, *options, str(SOURCE)])
                (work / "classes").rename(folder)
    return folder


def compiler_command(cache_folder: Path, runtime: Path, javac: str | None) -> list[str]:
    """``javac`` where there is one, else Eclipse's compiler in the Java runtime."""
    if javac is not None:
        return [javac]
    path = ":".join(map(str, resolved(cache_folder, COMPILER)))
    return [str(runtime), "-cp", path, "org.eclipse.jdt.internal.compiler.batch.Main"]


def digest(content: bytes) -> str:
    """Names what is made of the content."""
    return hashlib.sha256(content).hexdigest()[:12]
