"""The rules of the house that no other tool checks. ``make check`` runs this file alone; see CONTRIBUTING.md.

tests/unit/test_plants.py breaks each rule in a copy of the tree and expects this file to say so.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from streams.topics import BY_NAME, DAY_SECONDS, TOPICS

ROOT = Path(__file__).parents[2]

FOLDERS_WITHOUT_MEANING = {"utils", "util", "common", "core", "helpers", "helper", "misc", "shared"}
ADJECTIVES = {
    *("new", "enhanced", "simple", "improved", "final", "old", "legacy", "temp", "tmp", "better", "fast"),
    *("advanced", "optimized", "smart", "robust", "modern", "ultimate"),
}
VERSION_WORD = re.compile(r"v[2-9]\d*")

MAX_MODULE_LINES = 600
MODULE_LINES_QUESTION = 400
MAX_FUNCTION_LINES = 60
WHY_SO_LONG = {
    "agents_emitter/emitter.py": "one class, the whole face of the library; half of it says what each call does",
    "streams/settings.py": "one table of all settings, three lines each; the code beside it is 150 lines",
}
"""The answer for each module of more than 400 lines."""

SHELLS = {"__main__", "api", "app", "cli", "demo", "publish", "records", "services", "settings", "subscribe"}
"""Modules of streams that may know the outside world; all others are pure (import-linter contract ``pure``)."""

# Written in pieces, so that this file does not name what it forbids.
FORBIDDEN_TEXT = re.compile(
    "|".join(
        (
            r"(?<![\w.~$}/-])/(?:" + "wo" + "rk|" + "ro" + r"ot)(?![\w-])",
            r"\.libra" + "ry/",
            "py" + r"pi\.(?:org|python\.org)",
            "python" + r"hosted\.org",
            "registry" + r"\.(?:npmjs|yarnpkg)",
            r"(?:repo1?|maven)\." + r"(?:maven|apache)\.(?:org|apache\.org)/maven2",
            "proxy" + r"\.golang\.org",
            r"--(?:extra-)?" + "index-url",
        )
    )
)
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/DESIGN.md")
MADE_AT_RUN_TIME = {".venv", ".streams", "dist"}
PATH_LIKE = re.compile(r"\.?[\w-]+(?:[./][\w-]+)*/?")
FILE_ENDINGS = (".py", ".md", ".yml", ".yaml", ".toml", ".lock", ".json", ".txt", ".cfg", ".sh")


def committed() -> list[Path]:
    """Files in git and files that would be added, so that a rule speaks before the commit."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(Path(name) for name in set(listing.split("\0")) if name and (ROOT / name).is_file())


FILES = committed()
PYTHON = [path for path in FILES if path.suffix == ".py"]


@cache
def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(text_of(path))))


def is_data(path: Path) -> bool:
    """Recorded input and golden output are named after what made them."""
    return path.parts[:2] in {("tests", "golden"), ("tests", "samples")}


def test_folders_say_what_is_in_them() -> None:
    assert [str(path) for path in FILES if FOLDERS_WITHOUT_MEANING & {*path.parts[:-1], path.stem}] == []


def test_no_adjective_in_a_name() -> None:
    def words(path: Path) -> set[str]:
        return {word.lower() for part in path.parts for word in re.split(r"[^a-zA-Z0-9]+", part)}

    named = [path for path in FILES if not is_data(path)]
    assert [str(p) for p in named if ADJECTIVES & words(p) or any(map(VERSION_WORD.fullmatch, words(p)))] == []


def test_modules_are_short() -> None:
    lines = {str(path): len(text_of(path).splitlines()) for path in PYTHON}
    assert {name: n for name, n in lines.items() if n > MAX_MODULE_LINES} == {}
    asked = {name for name, n in lines.items() if n > MODULE_LINES_QUESTION and not name.startswith("tests/")}
    assert asked - set(WHY_SO_LONG) == set(), "longer than 400 lines: split it, or answer in WHY_SO_LONG"
    assert set(WHY_SO_LONG) - asked == set(), "no longer so long: take the answer out of WHY_SO_LONG"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    long = {f"{path}:{f.lineno} {f.name}": body_lines(f) for path in PYTHON for f in functions(path)}
    assert {name: n for name, n in long.items() if n > MAX_FUNCTION_LINES} == {}


def test_nothing_names_this_machine_or_a_registry() -> None:
    found = []
    for path in FILES:
        try:
            text = text_of(path)
        except UnicodeDecodeError:
            continue  # recorded binary input
        found += [
            f"{path}:{n} {m.group()}"
            for n, line in enumerate(text.splitlines(), 1)
            for m in FORBIDDEN_TEXT.finditer(line)
        ]
    assert found == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_documents_exist(document: str) -> None:
    quoted = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text_of(Path(document)), flags=re.DOTALL))
    paths = {q for q in quoted if PATH_LIKE.fullmatch(q) and ("/" in q or q.endswith(FILE_ENDINGS))}
    missing = {p for p in paths if not (ROOT / p).exists() and Path(p).parts[0] not in MADE_AT_RUN_TIME}
    assert missing == set()
    linked = {link.split("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text_of(Path(document)))} - {""}
    assert {link for link in linked if not (ROOT / document).parent.joinpath(link).exists()} == set()


def test_the_path_names_every_room_and_nothing_else() -> None:
    docstring = ast.get_docstring(ast.parse(text_of(Path("streams/__init__.py")))) or ""
    quoted = set(re.findall(r"``([\w.-]+)``", docstring))
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in PYTHON}
    assert quoted - modules - set(BY_NAME) == set(), "named, but there is no such module or topic"
    rooms = {f"streams.{path.parts[1]}" for path in PYTHON if path.parts[0] == "streams" and len(path.parts) > 2}
    assert rooms - quoted == set(), "rooms that the path does not name"
    assert set(BY_NAME) - quoted == set(), "topics that the path does not name"


def test_pure_rooms_are_all_but_the_shells() -> None:
    contracts = tomllib.loads(text_of(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    listed = next(set(c["source_modules"]) for c in contracts if c["id"] == "pure")
    children = {path.parts[1].removesuffix(".py") for path in PYTHON if path.parts[0] == "streams"} - {"__init__"}
    assert listed == {f"streams.{child}" for child in children - SHELLS}


def test_pure_rooms_do_not_touch_files_or_terminals() -> None:
    calls = {"open", "print", "input", "breakpoint", "exec", "eval"}
    found = [
        f"{path}:{node.lineno} {node.func.id}"
        for path in PYTHON
        if path.parts[0] == "streams" and path.parts[1].removesuffix(".py") not in SHELLS
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls
    ]
    assert found == []


@pytest.mark.parametrize("module", ["events", "redaction"])
def test_what_agents_and_the_pipeline_share_is_a_leaf(module: str) -> None:
    imported = set()
    for node in nodes_of(Path(f"agents_emitter/{module}.py")):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) - {"orjson"} == set()


def test_lock_file_has_hashes_and_no_addresses() -> None:
    text = text_of(Path("requirements.lock"))
    assert re.findall(r"\S*://\S*", text) == []
    entries = re.split(r"\n(?=[a-zA-Z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert [
        e.splitlines()[0] for e in entries if not re.match(r"[\w.\[\],-]+==\S+( ; .*)? \\\n\s+--hash=sha256:", e)
    ] == []


def test_lock_file_covers_the_dependencies() -> None:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    project = tomllib.loads(text_of(Path("pyproject.toml")))
    wanted = [
        *project["project"]["dependencies"],
        *(d for extra in project["project"]["optional-dependencies"].values() for d in extra),
        *project["dependency-groups"]["dev"],
    ]
    locked = {
        normal(name) for name in re.findall(r"^([\w.-]+)==", text_of(Path("requirements.lock")), flags=re.MULTILINE)
    }
    assert {normal(re.split(r"[^\w.-]", d)[0]) for d in wanted} - locked == set(), "run: make lock"


def test_every_topic_is_documented() -> None:
    design = text_of(Path("docs/DESIGN.md"))
    for topic in TOPICS:
        kept = "newest per key" if topic.compacted else f"{topic.retention_seconds // DAY_SECONDS} d"
        row = f"| `{topic.name}` | {topic.key} | {topic.partitions} | {kept} | {topic.producer} | {topic.consumers} |"
        assert row in design, f"docs/DESIGN.md lacks the line:\n{row}"


def test_tests_are_never_skipped() -> None:
    skip = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|importorskip|xfail)\b|unittest\.skip")
    this = Path("tests/unit/test_house.py")
    found = [
        f"{p}:{n}"
        for p in PYTHON
        if p.parts[0] == "tests" and p != this
        for n, line in enumerate(text_of(p).splitlines(), 1)
        if skip.search(line)
    ]
    assert found == []


def test_changelog_has_the_version() -> None:
    version = tomllib.loads(text_of(Path("pyproject.toml")))["project"]["version"]
    assert f"## [{version}]" in text_of(Path("CHANGELOG.md"))


def test_the_licence_is_whole() -> None:
    text = text_of(Path("LICENSE"))
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert all(f"\n   {n}. " in text for n in range(1, 10))
