"""Writes what is generated in ``monitoring/`` and ``docs/reference/``.

``--check`` compares and writes nothing (exit 1 on a difference).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from monitoring.source import alerts, channels, recordings, slo
from monitoring.source.dashboards import board
from monitoring.source.dashboards.limits import limits
from monitoring.source.reference import alerts as alerts_page
from monitoring.source.reference import api, metrics, records
from streams.correlate.rules import load_thresholds

FOLDER: Final = Path(__file__).parents[1]
ROOT: Final = FOLDER.parent
_HEAD: Final = "# Made by `python -m monitoring.source` from {source}. Do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Long expressions stay readable: text of several lines as a block, no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Every mapping is written out."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def files(folder: Path = FOLDER) -> dict[Path, str]:
    """What is generated: path below ``folder`` to content."""
    thresholds = load_thresholds((folder / "thresholds.yml").read_text())
    objectives = yaml.safe_load((folder / "slo.yml").read_text())
    routes = yaml.safe_load((folder / "alertmanager/alertmanager.yml").read_text())
    rules, grafana = Path("rules"), Path("grafana/dashboards")
    boards = {grafana / f"{one.uid}.json": board.render(one, limits(thresholds)) for one in board.BOARDS}
    return boards | {
        Path("alertmanager/channels.yml"): _yaml(
            "alertmanager/alertmanager.yml and source/channels.py", channels.configuration(routes)
        ),
        rules / "alerts.yml": _rules(
            "monitoring/thresholds.yml and source/alerts.py", alerts.groups(thresholds.baselines)
        ),
        rules / "recordings.yml": _rules("source/recordings.py", recordings.groups()),
        rules / "freeagentics.yml": _rules("source/recordings.py", recordings.former_names()),
        rules / "slo.yml": _rules("slo.yml", slo.groups(objectives)),
    }


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """``docs/reference/``: name of a page to content."""
    thresholds = load_thresholds((folder / "thresholds.yml").read_text())
    objectives = slo.groups(yaml.safe_load((folder / "slo.yml").read_text()))
    told = (*alerts.groups(thresholds.baselines), *objectives)
    recorded = (*recordings.groups(), *objectives, *recordings.former_names())
    return {
        Path("topics.md"): records.topics(),
        Path("events.md"): records.wire(),
        Path("metrics.md"): metrics.metrics(),
        Path("rules.md"): alerts_page.rules(thresholds.rules, told, recorded),
        Path("api.md"): api.api(),
    }


def everything() -> dict[Path, str]:
    """All that this writes: path below the root of the repository to content."""
    below = {Path("monitoring") / path: text for path, text in files().items()}
    return below | {Path("docs/reference") / path: text for path, text in pages().items()}


def _rules(source: str, groups: list[dict[str, Any]]) -> str:
    return _yaml(source, {"groups": groups})


def _yaml(source: str, body: dict[str, Any]) -> str:
    return _HEAD.format(source=source) + yaml.dump(body, Dumper=_Dumper, sort_keys=False, width=118)


def main(arguments: list[str] | None = None) -> int:
    """Console entry."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.source", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare; write nothing")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in everything().items() if not _same(ROOT / path, text)}
    for path, text in stale.items():
        if check:
            sys.stdout.write(f"{path} is not what its source gives: run python -m monitoring.source\n")
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
            sys.stdout.write(f"{path} written\n")
    return 1 if check and stale else 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
