"""Annotation texts: ``{name}`` is replaced by a label or a figure. No code runs in a template."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

FIGURES: Final = ("value", "threshold", "severity", "window", "alertname", "labels")
"""Names that every rule may use beside its identity labels."""
ANOMALY_FIGURES: Final = ("metric", "feature", "observed", "expected", "lower", "upper", "score", "detector", "unit")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def unknown_names(text: str, known: Collection[str]) -> list[str]:
    """Placeholders that are not in ``known``."""
    return [name for name in _PLACEHOLDER.findall(text) if name not in known]


def render(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced; a label that is missing reads as nothing."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), text)


def figure(value: float, unit: str) -> str:
    """A number as a person reads it. ``By`` becomes MB of 1,048,576 bytes, ratios become percent."""
    if unit in ("By", "By/min"):
        return f"{value / 1_048_576:.4g} MB" + unit[2:]
    if unit == "ratio":
        return f"{value * 100:.4g} %"
    if unit == "s" and abs(value) < 1:
        return f"{value * 1000:.4g} ms"
    return f"{value:.4g}" if unit in ("", "1") else f"{value:.4g} {unit}".replace(" 1/s", "/s")
