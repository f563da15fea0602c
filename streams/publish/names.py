"""From OpenTelemetry names to Prometheus names, and which labels are ids.

Rules: the OpenTelemetry specification "Prometheus and OpenMetrics compatibility" (dots and other illegal characters
become underscores, the unit is a suffix, counters end in ``_total``, a gauge with unit ``1`` is a ``_ratio``, labels
that fall together are joined with ``;``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

MAX_LABEL_VALUE_CHARS: Final = 1024

UNIT_SUFFIXES: Final = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}
"""UCUM unit -> suffix. Units in braces (``{agent}``) are annotations and give none."""

RESERVED_LABELS: Final = frozenset({"le", "quantile", "job", "instance"})
"""Labels with a meaning of their own in Prometheus: a reported label of that name gets the prefix ``exported_``."""

_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_]+")
_ID: Final = re.compile(r"(^|[._-])(?i:id|uuid|guid)$|[a-z0-9](Id|ID)$")


@lru_cache(maxsize=65_536)
def prometheus_name(name: str, unit: str, kind: str) -> str:
    """The exported name of a metric: ``agents.step.duration`` in ``s`` -> ``agents_step_duration_seconds``."""
    exported = _ILLEGAL.sub("_", name).strip("_") or "unnamed"
    if exported[0].isdigit():
        exported = f"_{exported}"
    stem = exported.removesuffix("_total") if kind == "counter" else exported
    suffix = _unit_suffix(unit, kind)
    if suffix and not stem.endswith(f"_{suffix}"):
        stem = f"{stem}_{suffix}"
    return f"{stem}_total" if kind == "counter" else stem


def _unit_suffix(unit: str, kind: str) -> str:
    if unit == "1":
        return "ratio" if kind == "gauge" else ""
    over, _, per = re.sub(r"\{[^}]*\}", "", unit).partition("/")
    words = [UNIT_SUFFIXES.get(over, _ILLEGAL.sub("_", over).strip("_"))]
    if per:
        words += ["per", UNIT_SUFFIXES.get(per, _ILLEGAL.sub("_", per).strip("_")).removesuffix("s")]
    return "_".join(word for word in words if word)


@lru_cache(maxsize=65_536)
def label_name(name: str) -> str:
    """A legal Prometheus label name for a reported one."""
    legal = _ILLEGAL.sub("_", name) or "_"
    if legal in RESERVED_LABELS or legal.startswith("__"):
        return f"exported_{legal.lstrip('_')}"
    return f"_{legal}" if legal[0].isdigit() else legal


def label_set(labels: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Sorted, legal labels: empty values dropped, long values cut, names that fall together joined with ``;``."""
    found: dict[str, str] = {}
    for name, value in sorted(labels):
        if value:
            legal, text = label_name(name), value[:MAX_LABEL_VALUE_CHARS]
            found[legal] = f"{found[legal]};{text}" if legal in found else text
    return tuple(sorted(found.items()))


@lru_cache(maxsize=65_536)
def is_id(label: str) -> bool:
    """Whether a label names an id, which grows without bound: ``agent.id``, ``session_id``, ``traceId``, ``uuid``."""
    return bool(_ID.search(label))
