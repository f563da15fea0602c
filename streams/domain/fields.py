"""Reading a mapping that a person wrote: every error names the place, the field, what is there and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from streams.errors import ConfigurationError


class Fields:
    """Typed access to one mapping of a configuration file.

    Raises (every method):
        ConfigurationError: ``<place>: <field> is <what>; write <what is allowed>``.
    """

    def __init__(self, place: str, body: object) -> None:
        if not isinstance(body, Mapping):
            raise ConfigurationError(f"{place}: is {body!r}; write a mapping of fields")
        self.place = place
        self.body: Mapping[str, Any] = body

    def wrong(self, name: str, allowed: str) -> ConfigurationError:
        """The error for a field."""
        found = repr(self.body[name]) if name in self.body else "missing"
        return ConfigurationError(f"{self.place}: {name} is {found}; write {allowed}")

    def only(self, known: Collection[str]) -> None:
        """Refuse fields that nobody reads: they are misspelt."""
        for name in self.body:
            if name not in known:
                raise ConfigurationError(
                    f"{self.place}: {name} is not a field; the fields are {', '.join(sorted(known))}"
                )

    def number(self, name: str, *, default: float | None = None, least: float | None = None) -> float:
        """A finite number."""
        allowed = "a number" if least is None else f"a number of at least {least:g}"
        value = self.body.get(name, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or value != value
            or abs(value) == float("inf")
        ):
            raise self.wrong(name, allowed)
        if least is not None and value < least:
            raise self.wrong(name, allowed)
        return float(value)

    def integer(self, name: str, *, default: int, least: int) -> int:
        """A whole number."""
        value = self.body.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.wrong(name, f"a whole number of at least {least}")
        return value

    def text(self, name: str, *, default: str | None = None) -> str:
        """A string that is not empty."""
        value = self.body.get(name, default)
        if not isinstance(value, str) or (not value.strip() and default is None):
            raise self.wrong(name, "a text")
        return value.strip()

    def choice(self, name: str, allowed: Sequence[str], *, default: str | None = None) -> str:
        """One of some words."""
        value = self.body.get(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(name, "one of " + ", ".join(allowed))
        return value

    def texts(self, name: str, *, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        value = self.body.get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise self.wrong(name, "a list of texts")
        return tuple(value)

    def items(self, name: str, *, default: Sequence[object] | None = None) -> list[object]:
        """A list with at least one element (or the default)."""
        value = self.body.get(name)
        if value is None and default is not None:
            return list(default)
        if not isinstance(value, list) or not value:
            raise self.wrong(name, "a list with at least one element")
        return value
