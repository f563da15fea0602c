"""Panels that count events count the first of its kind too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from monitoring.source.dashboards.panel import more


def test_the_first_event_of_its_kind_is_counted(tmp_path: Path, monitoring_packages: None) -> None:
    """By promtool: what is new in the window counts, what a moved partition shows on another worker does not."""
    counter = "agents_security_events_total"
    series = {
        f'{counter}{{instance="w1",event_type="new"}}': "_x90 1x30",
        f'{counter}{{instance="w1",event_type="grows"}}': "5x90 8x30",
        f'{counter}{{instance="w1",event_type="moves"}}': "7x100 _x20",
        f'{counter}{{instance="w2",event_type="moves"}}': "_x101 7x19",
    }
    grown = {"new": 1, "grows": 3, "moves": 0}
    checks = [{"expr": f"round({more(counter, '30m', 'event_type')})", "eval_time": "119m"}]
    checks[0]["exp_samples"] = [{"labels": f'{{event_type="{kind}"}}', "value": value} for kind, value in grown.items()]  # type: ignore[assignment]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": "1m", "input_series": inputs, "promql_expr_test": checks}
    (tmp_path / "case.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "case.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
