"""Parameters and bodies that several subjects have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from streams.api.board.query import MAX_LIMIT

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Seconds = Annotated[float, Query(ge=0, le=315_360_000, description="only of the last so many seconds; 0 = any time")]
Word = Annotated[str, Query(max_length=256)]
Cursor = Annotated[str, Query(max_length=2_000, description="next_cursor of the page before")]
Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Severity = Literal["", "critical", "high", "warning", "info"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._:+/-]{0,127}$"
Name = Annotated[str, Path(pattern=NAME.replace("/", ""), description="letters, digits and . _ : + -")]
Because = Annotated[str, Query(min_length=1, max_length=1_000, pattern=r"\S", description="why, for people")]
Why = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"\S", description="for people")]


class Body(BaseModel):
    """A body: what it does not know is refused, so that a word that is written wrong is not lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Reason(Body):
    """Why somebody does it."""

    why: Why

    model_config = ConfigDict(json_schema_extra={"examples": [{"why": "p95 is up by a third since the start"}]})


def example(content: Any, description: str = "As asked.") -> dict[str, Any]:
    """An answer of the description, with an example."""
    return {"description": description, "content": {"application/json": {"example": content}}}
