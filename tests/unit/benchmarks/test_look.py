"""Each committed dashboard can be drawn by the second renderer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.look.__main__ import BOARDS, chosen
from benchmarks.look.perses import convert, marks

FILES = sorted(BOARDS.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_panel_has_its_place_and_its_queries(path: Path) -> None:
    board = json.loads(path.read_text())
    made = convert(board)["spec"]
    wanted = [one for one in board["panels"] if one["type"] != "row"]
    assert [one["spec"]["display"]["name"] for one in made["panels"].values()] == [one["title"] for one in wanted]
    placed = [item["content"]["$ref"] for group in made["layouts"] for item in group["spec"]["items"]]
    assert placed == [f"#/spec/panels/{name}" for name in made["panels"]]
    queries = [q["spec"]["plugin"]["spec"]["query"] for one in made["panels"].values() for q in one["spec"]["queries"]]
    assert len(queries) == sum(len(one["targets"]) for one in wanted)
    assert not [query for query in queries if "$environment" in query]
    assert [one["title"] for one in marks(board)] == ["{{service_name}} {{service_version}}"]


def test_a_graph_of_nodes_is_drawn_and_links_are_kept() -> None:
    (board,) = (json.loads(path.read_text()) for path in FILES if path.stem == "agents-coordination")
    kinds = {one["spec"]["display"]["name"]: one["spec"] for one in convert(board)["spec"]["panels"].values()}
    assert kinds["Service map"]["plugin"]["kind"] == "NodeGraph"
    assert kinds["Calls, most frequent"]["links"][0]["url"].startswith("${page}/#/traces")


def test_all_are_drawn_where_nothing_is_chosen() -> None:
    assert chosen("") == FILES
    assert [board.stem for board in chosen("genai")] == ["agents-genai"]
