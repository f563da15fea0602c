"""Each rule of the house, broken once: the target of ``make check`` that owns the rule must object and say to what.

The tree is copied to a folder of its own, one violation is planted, the target runs there, the plant is taken out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from monitoring.source.__main__ import everything

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TARGETS = (
    "check-format",
    "check-lint",
    "check-types",
    "check-imports",
    "check-house",
    "check-monitoring",
    "check-references",
)


class Plant(NamedTuple):
    """One rule broken: each file's text is a new file, or is appended to the file of that path where there is one.

    ``instead_of`` is what the text replaces in an existing file; ``says`` must all be in the output.
    """

    rule: str
    target: str
    files: dict[str, str]
    says: tuple[str, ...]
    instead_of: str = ""


def module(*lines: str) -> str:
    return "\n".join(('"""Planted."""', "", *lines, ""))


def imports(rule: str, path: str, line: str, *says: str) -> Plant:
    return Plant(rule, "check-imports", {path: module(line)}, says)


def lint(rule: str, path: str, *lines: str, says: tuple[str, ...]) -> Plant:
    return Plant(rule, "check-lint", {path: module(*lines)}, (path, *says))


def house(rule: str, path: str, text: str, *says: str) -> Plant:
    return Plant(rule, "check-house", {path: text}, says)


def named(rule: str, *paths: str) -> Plant:
    """Empty files whose names alone are the violation."""
    return Plant(rule, "check-house", dict.fromkeys(paths, ""), paths)


PURE_ROOMS = ("correlate", "decode", "detect", "domain", "gate", "trace", "window")
NOT_APP = (*(f"streams/{room}" for room in (*PURE_ROOMS, "api", "publish", "services", "subscribe")), "agents_emitter")
NOT_DETECT = tuple(folder for folder in NOT_APP if folder != "streams/detect")
IMPURE = (
    "aiokafka",
    "asyncio",
    "httpx",
    "logging",
    "os",
    "random",
    "streams.settings",
    "subprocess",
    "threading",
    "time",
)
FORBIDDEN_PATH = "/" + "work/main"
REGISTRY = "https://" + "py" + "pi.org/simple"


BOARDS = "monitoring/grafana/dashboards"
PLANTED_RUNBOOK = "\n```promql\nplanted_total\nmax by (planted_by) (up)\n```\n\n```sh\nstreams plant\n```\n"
PLANTED_BOARD = """
BOARDS = (BOARDS[0]._replace(rows=(("", (one("Planted", "stat", "agents_planted"),)),)), *BOARDS[1:])
"""
RECORD = "service:http_request_duration_seconds:p50_5m"
VERSION = re.search(r'name = "agent-streams"\nversion = "[^"]+"\n', (ROOT / "pyproject.toml").read_text())[0]  # type: ignore[index]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
BROKEN = {
    "layers": "stage imports stage",
    "pure": "the outside world in pure rooms",
    "faust": "Faust outside of app",
    "river": "River outside of detect",
    "emitter": "emitter imports streams",
    "otel": "emitter needs OpenTelemetry",
    "schema": "streams imports the emitter",
    "leaf": "schema imports the emitter",
}
"""Each contract of import-linter, and the plant that breaks it."""
FAILS = {
    "test_folders_say_what_is_in_them": "folders without meaning",
    "test_no_adjective_in_a_name": "adjectives in names",
    "test_modules_are_short": "a module of 700 lines",
    "test_functions_are_short": "a function of 70 lines",
    "test_nothing_names_this_machine_or_a_registry": "a machine path",
    "test_paths_in_documents_exist": "a path that does not exist",
    "test_the_path_names_every_room_and_nothing_else": "a room that the path does not name",
    "test_pure_rooms_are_all_but_the_shells": "a room that is not among the pure ones",
    "test_pure_rooms_do_not_touch_files_or_terminals": "a file opened in a pure room",
    "test_what_agents_and_the_pipeline_share_is_a_leaf": "redaction needs numpy",
    "test_lock_file_has_hashes_and_no_addresses": "a lock without a hash",
    "test_lock_file_covers_the_dependencies": "a dependency that is not locked",
    "test_every_topic_is_documented": "a topic without a row",
    "test_tests_are_never_skipped": "a skipped test",
    "test_changelog_has_the_version": "a version that the changelog does not have",
    "test_the_licence_is_whole": "half a licence",
}
"""Each test of the house, and the plant that it must find."""


def everywhere(rule: str, folders: tuple[str, ...], imported: str) -> Plant:
    files = {f"{folder}/planted.py": module(f"import {imported}") for folder in folders}
    return Plant(rule, "check-imports", files, tuple(f"{f.replace('/', '.')}.planted -> {imported}" for f in folders))


PLANTS = [
    everywhere("Faust outside of app", NOT_APP, "faust"),
    everywhere("River outside of detect", NOT_DETECT, "river"),
    Plant(
        "the outside world in pure rooms",
        "check-imports",
        {f"streams/{room}/planted.py": module(*(f"import {name}" for name in IMPURE)) for room in PURE_ROOMS},
        tuple(f"streams.{room}.planted -> {name}" for room in PURE_ROOMS for name in IMPURE),
    ),
    imports(
        "publish knows mode",
        "streams/publish/planted.py",
        "from mode import Service",
        "streams.publish.planted -> mode",
    ),
    imports(
        "correlate knows River",
        "streams/correlate/planted.py",
        "from river import stats",
        "streams.correlate.planted -> river",
    ),
    imports(
        "stage imports stage", "streams/detect/planted.py", "import streams.window", "streams.detect", "streams.window"
    ),
    imports(
        "stage imports publish",
        "streams/trace/planted.py",
        "import streams.publish",
        "streams.trace",
        "streams.publish",
    ),
    imports(
        "domain imports a room",
        "streams/domain/planted.py",
        "import streams.decode",
        "streams.domain",
        "streams.decode",
    ),
    imports("stage imports app", "streams/gate/planted.py", "import streams.app", "streams.gate", "streams.app"),
    imports(
        "publish imports app", "streams/publish/planted.py", "import streams.app", "streams.publish", "streams.app"
    ),
    imports("api imports app", "streams/api/planted.py", "import streams.app", "streams.api", "streams.app"),
    imports("a module without a place", "streams/extras.py", "", "streams.extras"),
    imports(
        "emitter imports streams",
        "agents_emitter/planted.py",
        "import streams.topics",
        "agents_emitter.planted -> streams",
    ),
    imports(
        "emitter needs OpenTelemetry",
        "agents_emitter/planted.py",
        "import opentelemetry.trace",
        "agents_emitter.planted -> opentelemetry",
    ),
    imports("emitter needs numpy", "agents_emitter/planted.py", "import numpy", "agents_emitter.planted -> numpy"),
    imports(
        "streams imports the emitter",
        "streams/publish/planted.py",
        "import agents_emitter.simulator",
        "streams.publish.planted -> agents_emitter",
    ),
    imports(
        "schema imports the emitter",
        "agents_emitter/events.py",
        "import agents_emitter.simulator",
        "agents_emitter.events -> agents_emitter",
    ),
    imports(
        "redaction imports the emitter",
        "agents_emitter/redaction.py",
        "import agents_emitter.simulator",
        "agents_emitter.redaction -> agents_emitter",
    ),
    lint(
        "clock in a room",
        "streams/window/planted.py",
        "import time",
        "",
        "NOW = time.time()",
        says=("TID251", "time.time"),
    ),
    lint(
        "nanosecond clock",
        "streams/app/planted.py",
        "from time import time_ns",
        "",
        "NOW = time_ns()",
        says=("TID251", "time.time_ns"),
    ),
    lint(
        "date clock",
        "streams/publish/planted.py",
        "import datetime",
        "",
        "NOW = datetime.datetime.now(datetime.UTC)",
        says=("TID251",),
    ),
    lint(
        "environment outside settings",
        "streams/app/planted.py",
        "import os",
        "",
        'HOME = os.environ["HOME"]',
        says=("TID251", "settings.py"),
    ),
    lint(
        "environment by getenv",
        "agents_emitter/planted.py",
        "import os",
        "",
        'HOME = os.getenv("HOME")',
        says=("TID251",),
    ),
    lint(
        "randomness",
        "streams/publish/planted.py",
        "import random",
        "",
        "DICE = random.random()",
        says=("TID251", "random"),
    ),
    lint(
        "randomness of numpy",
        "streams/detect/planted.py",
        "import numpy as np",
        "",
        "DICE = np.random.rand()",
        says=("TID251",),
    ),
    lint(
        "blind except",
        "streams/publish/planted.py",
        "try:",
        "    X = 1",
        "except Exception:",
        "    X = 2",
        says=("BLE001",),
    ),
    lint(
        "function without docstring", "streams/publish/planted.py", "", "def f() -> None:", "    return", says=("D103",)
    ),
    lint(
        "branches without end",
        "streams/gate/planted.py",
        "",
        "def f(x: int) -> int:",
        '    """Planted."""',
        *(f"    if x == {n}:\n        x += {n}" for n in range(15)),
        "    return x",
        says=("C901",),
    ),
    Plant("unformatted", "check-format", {"streams/gate/planted.py": "x=1\n"}, ("streams/gate/planted.py",)),
    Plant(
        "untyped function",
        "check-types",
        {"streams/gate/planted.py": module("", "def f(x):", "    return x")},
        ("streams/gate/planted.py", "no-untyped-def"),
    ),
    Plant(
        "wrong type",
        "check-types",
        {"agents_emitter/planted.py": module("X: int = 'a'")},
        ("agents_emitter/planted.py", "assignment"),
    ),
    named("folders without meaning", *(f"streams/{n}/planted.py" for n in ("utils", "common", "core", "helpers"))),
    named("modules without meaning", "streams/window/utils.py", "agents_emitter/helpers.py"),
    named(
        "adjectives in names",
        *(f"streams/window/{n}.py" for n in ("new_pane", "enhanced", "pane_v2", "improved", "fast_pane", "legacy")),
        *("docs/final-design.md", "monitoring/simple.yml", "tests/unit/better/test_x.py", "streams/app/old_temp.py"),
    ),
    house("a module of 700 lines", "streams/gate/planted.py", "X = 1\n" * 700, "streams/gate/planted.py"),
    house("a module of 450 lines without an answer", "streams/gate/planted.py", "X = 1\n" * 450, "WHY_SO_LONG"),
    house(
        "a function of 70 lines",
        "streams/gate/planted.py",
        "def f():\n" + "    x = 1\n" * 70,
        "streams/gate/planted.py:1 f",
    ),
    house("a machine path", "docs/planted.md", f"see {FORBIDDEN_PATH}\n", "docs/planted.md:1"),
    house("a registry address", "docs/planted.md", f"pip install -i {REGISTRY} x\n", "docs/planted.md:1"),
    house(
        "a path that does not exist",
        "docs/DESIGN.md",
        "\nSee `streams/window/absent.py`.\n",
        "streams/window/absent.py",
    ),
    house("a link that leads nowhere", "README.md", "\nSee [it](docs/absent.md).\n", "docs/absent.md"),
    house("a room that the path does not name", "streams/attic/__init__.py", "", "streams.attic"),
    house("the schema needs numpy", "agents_emitter/events.py", "\nimport numpy\n", "numpy"),
    house("redaction needs numpy", "agents_emitter/redaction.py", "\nimport numpy\n", "numpy"),
    house(
        "a topic without a row",
        "streams/topics.py",
        '\nTOPICS = (*TOPICS, TOPICS[0]._replace(name="agents.planted"))\n',
        "agents.planted",
    ),
    house("a lock without a hash", "requirements.lock", "\nzzz==1.0\n", "zzz==1.0"),
    house("a lock with an address", "requirements.lock", "\n# https://example.org/simple\n", "example.org"),
    Plant(
        "a dependency that is not locked",
        "check-house",
        {"pyproject.toml": '"orjson>=3.10", "planted-package>=1",'},
        ("planted-package",),
        instead_of='"orjson>=3.10",',
    ),
    house(
        "a file opened in a pure room", "streams/gate/planted.py", 'X = open("x")\n', "streams/gate/planted.py:1 open"
    ),
    Plant(
        "a scrape configuration that Prometheus refuses",
        "check-monitoring",
        {"monitoring/prometheus/planted.yml": "scrape_config: []\n"},
        ("monitoring/prometheus/planted.yml", "scrape_config"),
    ),
    Plant(
        "a rule that Prometheus refuses",
        "check-monitoring",
        {"monitoring/rules/planted.yml": "groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]\n"},
        ("monitoring/rules/planted.yml", "parse error"),
    ),
    Plant(
        "a route that Alertmanager refuses",
        "check-monitoring",
        {"monitoring/alertmanager/planted.yml": "route: {receiver: nobody}\n"},
        ("monitoring/alertmanager/planted.yml", "nobody"),
    ),
    Plant(
        "a rule that does not do what its test says",
        "check-monitoring",
        {"monitoring/rules/tests/a.yml": "tests: [{promql_expr_test: [{expr: 1, exp_samples: [{value: 2}]}]}]\n"},
        ("monitoring/rules/tests/a.yml", "{} 2E+00"),
    ),
    Plant(
        "a workflow that is none",
        "check-monitoring",
        {"examples/ci/planted.yml": "on: push\njobs: {a: {runs-on: b, steps: [{usess: c}]}}\n"},
        ("examples/ci/planted.yml", "usess"),
    ),
    Plant(
        "what the code does not have, in all that refers to it",
        "check-references",
        {
            "Dockerfile": "\nCOPY planted-file .\n",
            "examples/kubernetes/streams.yml": "---\nkind: Job\nmetadata: {name: planted-job}\n",
            "monitoring/source/dashboards/agents.py": PLANTED_BOARD,
            "monitoring/runbooks/PlantedAlert.md": "# PlantedAlert\n",
            "monitoring/runbooks/Watchdog.md": PLANTED_RUNBOOK,
        },
        (
            *("planted-file", "planted-job", "agents_planted", "PlantedAlert"),
            *("planted_total", "planted_by", "invalid choice: 'plant'"),
        ),
    ),
    Plant(
        "a setting in compose that the code does not have",
        "check-references",
        {"docker-compose.kafka.yml": "STREAMS_API_PLANTED"},
        ("STREAMS_API_PLANTED",),
        instead_of="STREAMS_API_PORT",
    ),
    Plant(
        "a compose file that is none",
        "check-monitoring",
        {"docker-compose.planted.yml": "services: {a: {image: b, imagge: c}}\n"},
        ("docker-compose.planted.yml", "imagge"),
    ),
    Plant(
        "a metric that the reference does not have",
        "check-monitoring",
        {"streams/publish/catalogue.py": '"Signs of life, planted."'},
        ("docs/reference/metrics.md",),
        instead_of='"Signs of life of agents."',
    ),
    Plant(
        "a topic that the reference does not have",
        "check-monitoring",
        {"streams/topics.py": '2 * DAY_SECONDS, False, True, _MB, "agents_emitter", "planted role"'},
        ("docs/reference/topics.md",),
        instead_of='DAY_SECONDS, False, True, _MB, "agents_emitter", "metrics role"',
    ),
    Plant(
        "an event that the reference does not have",
        "check-monitoring",
        {"agents_emitter/events.py": "Log records, planted"},
        ("docs/reference/events.md",),
        instead_of="Log records",
    ),
    Plant(
        "a path that the reference does not have",
        "check-monitoring",
        {"streams/api/routes/alerts.py": '"/planted"'},
        ("docs/reference/api.md",),
        instead_of='"/topology"',
    ),
    Plant(
        "a threshold that rules and the reference do not have",
        "check-monitoring",
        {"monitoring/thresholds.yml": "threshold: 36175873"},
        ("docs/reference/rules.md",),
        instead_of="threshold: 36175872",
    ),
    *(
        Plant(f"{what} that its source does not give", "check-monitoring", {path: text}, (path,), instead_of)
        for what, path, text, instead_of in (
            (
                "a dashboard",
                "monitoring/grafana/dashboards/agents-api.json",
                '"title": "planted"',
                '"title": "Interactions"',
            ),
            (
                "a recorded query",
                "monitoring/rules/recordings.yml",
                "planted:p50_5m",
                "service:http_request_duration_seconds:p50_5m",
            ),
            ("a burn rate", "monitoring/rules/slo.yml", "# planted\n", ""),
            ("an alert", "monitoring/rules/alerts.yml", "# planted\n", ""),
            ("a former name", "monitoring/rules/freeagentics.yml", "# planted\n", ""),
            ("a channel", "monitoring/alertmanager/channels.yml", "# planted\n", ""),
        )
    ),
    Plant(
        "an objective that the rules do not have",
        "check-monitoring",
        {"monitoring/slo.yml": "factor: 14.5,"},
        ("monitoring/rules/slo.yml",),
        instead_of="factor: 14.4,",
    ),
    Plant(
        "a route that the channels do not have",
        "check-monitoring",
        {"monitoring/alertmanager/alertmanager.yml": "repeat_interval: 5h"},
        ("monitoring/alertmanager/channels.yml",),
        instead_of="repeat_interval: 4h",
    ),
    Plant(
        "a room that is not among the pure ones",
        "check-house",
        {"pyproject.toml": '"streams.topics", "streams.trace",\n'},
        ("test_pure_rooms_are_all_but_the_shells", "streams.window"),
        instead_of='"streams.topics", "streams.trace", "streams.window",\n',
    ),
    Plant(
        "a version that the changelog does not have",
        "check-house",
        {"pyproject.toml": 'name = "agent-streams"\nversion = "99.0.0"\n'},
        ("99.0.0",),
        instead_of=VERSION,
    ),
    Plant(
        "half a licence",
        "check-house",
        {"LICENSE": "planted"},
        ("test_the_licence_is_whole",),
        instead_of="END OF TERMS AND CONDITIONS",
    ),
    house(
        "a skipped test",
        "tests/unit/test_planted.py",
        "import pytest\n\npytest." + 'skip("later")\n',
        "tests/unit/test_planted.py:3",
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files in git and those that would be added, in a repository of their own."""
    folder = tmp_path_factory.mktemp("tree")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def run(folder: Path, target: str) -> tuple[int, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", f"BIN={BIN}", target],
        cwd=folder,
        # The copy must be judged by its own modules, and leave no bytecode that outlives a plant.
        env={**environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "1000", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def plant_in(folder: Path, plant: Plant, undo: ExitStack) -> None:
    for name, text in plant.files.items():
        path = folder / name
        if path.exists():
            before = path.read_text()
            undo.callback(path.write_text, before)
            assert plant.instead_of in before
            path.write_text(before.replace(plant.instead_of, text) if plant.instead_of else before + text)
        else:
            made = next(p for p in reversed([path, *path.parents]) if not p.exists())
            undo.callback(shutil.rmtree if made != path else Path.unlink, made)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture
def planted(copy: Path, request: pytest.FixtureRequest) -> Iterator[Plant]:
    """The plant of this test, in the ground for as long as the test runs."""
    plant: Plant = request.param
    with ExitStack() as undo:
        plant_in(copy, plant, undo)
        yield plant


@pytest.mark.parametrize("target", TARGETS)
def test_the_tree_passes_without_a_plant(copy: Path, target: str) -> None:
    code, output = run(copy, target)
    assert code == 0, output


@pytest.mark.parametrize("planted", PLANTS, ids=lambda plant: plant.rule, indirect=True)
def test_a_plant_is_found(copy: Path, planted: Plant) -> None:
    code, output = run(copy, planted.target)
    assert code != 0, f"{planted.rule} was not noticed:\n{output}"
    assert [word for word in planted.says if word not in output] == [], output
    assert [name for name, rule in FAILS.items() if rule == planted.rule and f"::{name}" not in output] == [], output


def test_every_test_of_the_house_and_every_contract_has_a_plant() -> None:
    tests = re.findall(r"^def (test_\w+)", (ROOT / "tests/unit/test_house.py").read_text(), re.MULTILINE)
    assert set(tests) == set(FAILS)
    assert set(FAILS.values()) <= {plant.rule for plant in PLANTS}
    assert {plant.target for plant in PLANTS} == set(TARGETS)
    rules = {contract["id"] for contract in CONTRACTS}
    assert rules == set(BROKEN)
    assert set(BROKEN.values()) <= {plant.rule for plant in PLANTS if plant.target == "check-imports"}


def test_every_file_that_is_generated_has_a_plant() -> None:
    """Of each dashboard's kind one: they are made by one function."""
    said = {word for plant in PLANTS if plant.target == "check-monitoring" for word in plant.says}
    missing = {str(path) for path in everything()} - said
    assert {str(Path(name).parent) for name in missing} <= {BOARDS}


def test_check_runs_every_target() -> None:
    plan = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for words in (
        "ruff format --check",
        "ruff check",
        "mypy",
        "lint-imports",
        "test_house.py",
        "check-monitoring",
        "test_compose.py",
    ):
        assert words in plan
    tests = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert plan.split("\n", 1)[1] in tests  # after set-up, where services may come between
