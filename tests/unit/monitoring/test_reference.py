"""docs/reference/ says what the code does: drift, links, names, and examples that the decoders take."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from monitoring.source.__main__ import ROOT, pages
from streams import topics
from streams.correlate.rules import load_rules
from streams.decode.head import HeadCache
from streams.decode.run import decode_run
from streams.decode.spans import decode_spans
from streams.domain.series import SeriesTable
from streams.settings import unknown

PAGES = {str(path): text for path, text in pages().items()}


class Record(NamedTuple):
    value: bytes
    key: bytes = b"planner-1"
    offset: int = 0
    timestamp: int = 1_700_000_001_000


def examples(schema: str) -> list[Record]:
    blocks = re.findall(r"```json\n(.+?)\n```", PAGES["events.md"], re.DOTALL)
    return [Record(block.encode()) for block in blocks if schema in block]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_committed_page_is_what_the_code_gives(name: str) -> None:
    page = (ROOT / "docs/reference" / name).read_text()
    assert page == PAGES[name], "run: .venv/bin/python -m monitoring.source"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_lead_somewhere_and_settings_exist(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGES[name])
    assert [link for link in links if not (ROOT / "docs/reference" / link).is_file()] == []
    named = dict.fromkeys(re.findall(r"STREAMS_[A-Z_]+", PAGES[name]), "1")
    assert unknown(named) == []


@pytest.mark.parametrize(("schema", "samples"), [("agents.metric/1", 4), ("agents.response.quality", 1)])
def test_metric_examples_are_taken_by_the_decoder(schema: str, samples: int) -> None:
    columns = decode_run(examples(schema), SeriesTable(), HeadCache(), hint=topics.METRICS)
    assert not columns.rejected
    assert len(columns.value) == samples


def test_log_and_span_examples_are_taken_by_the_decoders() -> None:
    logs = decode_run(examples("agents.log/1"), SeriesTable(), HeadCache(), hint=topics.LOGS)
    assert not logs.rejected
    assert list(logs.value) == [1.0]
    spans = decode_spans(examples("agents.span/1"))
    assert [span.name for span in spans.spans] == ["plan"]


def test_the_rule_of_the_readme_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(rules:\n.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (rule,) = load_rules("version: 1\n" + text)
    assert rule.name == "AgentStepsMany"
    (level,) = rule.levels
    assert level.breached(20.1)
    assert not level.breached(20.0)


def test_every_topic_and_nothing_else_has_a_row() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGES["topics.md"], re.MULTILINE)
    assert rows == [topic.name for topic in topics.TOPICS]
