"""Who may have how many series: of all, of one agent, of one service that names no agent."""

from __future__ import annotations

import pytest

from streams.domain.series import OVERFLOW_LABEL, Series, SeriesTable


def of(name: str = "m", **labels: str) -> Series:
    return Series(name, "1", "counter", tuple(sorted((k.replace("__", "."), v) for k, v in labels.items())))


def kept(table: SeriesTable, *rows: Series) -> list[bool]:
    return [table.rows[table.slot(row)] == row for row in rows]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([of(agent__id="a", user=f"u{n}") for n in range(3)], [True, True, False], id="one agent"),
        pytest.param([of(agent__id=f"a{n}", user="u") for n in range(3)], [True, True, True], id="several agents"),
        pytest.param([of(service__name="s", user=f"u{n}") for n in range(3)], [True, True, False], id="a service"),
        pytest.param(
            [of(agent__id="a", service__name="s", user="1"), of(service__name="s", user="2"), of(service__name="s")],
            [True, True, True],
            id="an agent does not count for its service",
        ),
        pytest.param([of(client=f"c{n}", server="s") for n in range(4)], [True] * 4, id="whoever names neither"),
        pytest.param([of(agent__id="a", user="u0")] * 3, [True] * 3, id="the same series again"),
    ],
)
def test_series_of_one_source_are_bounded(rows: list[Series], expected: list[bool]) -> None:
    assert kept(SeriesTable(limit=100, limit_per_source=2), *rows) == expected


def test_what_overflows_takes_no_place_and_others_still_have_theirs() -> None:
    table = SeriesTable(limit=4, limit_per_source=2)
    attack = [of(agent__id="a", user=f"u{n}") for n in range(50)]
    assert sum(kept(table, *attack)) == 2
    assert len(table) == 3
    assert table.rows[2].labels == ((OVERFLOW_LABEL, "true"),)
    assert kept(table, *(of(agent__id="b", user=f"u{n}") for n in range(3))) == [True, True, False]
    assert kept(table, of(agent__id="c")) == [False], "all places are taken"
    assert len(table.counts) == 2


def test_a_table_made_of_another_one_s_rows_knows_whose_they_are() -> None:
    table = SeriesTable(limit=100, limit_per_source=2)
    kept(table, of(agent__id="a", user="1"), of(agent__id="a", user="2"), of(agent__id="b"))
    fewer = table.only([1, 2])
    assert (fewer.limit, fewer.limit_per_source) == (100, 2)
    assert kept(fewer, of(agent__id="a", user="3"), of(agent__id="a", user="4")) == [True, False]
