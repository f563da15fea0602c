"""``thresholds.yml`` for a demonstration: the limits stay, the waiting times shrink."""

from __future__ import annotations

import math
from typing import Any, Final

import yaml

from streams.correlate.rules import load_rules
from streams.errors import ConfigurationError

DIVISOR: Final = 8
"""120 s become 15 s: the fault of a demo lasts 30 s."""
SILENCE_SECONDS: Final = 15.0
"""An absence rule's threshold is a waiting time itself; shorter than three heartbeats of 5 s says nothing."""


def shorten(text: str, pane_seconds: int, divisor: int = DIVISOR) -> str:
    """The same rules with ``for_seconds``, ``keep_firing_seconds`` and ``window_seconds`` divided.

    Windows become multiples of ``pane_seconds``, at least three panes where the window was longer than two. Limits and
    ``min_count`` stay: the demo's agents are busy enough to reach it in a short window.

    Raises:
        ConfigurationError: the text is no rules file, before or after.
    """
    load_rules(text)
    body: dict[str, Any] = yaml.safe_load(text)
    for rule in body["rules"].values():
        _shorten_rule(rule, pane_seconds, divisor)
    shortened = yaml.safe_dump(body, sort_keys=False, width=120)
    try:
        load_rules(shortened)
    except ConfigurationError as error:
        raise ConfigurationError(f"the demo's copy of the rules is wrong: {error}") from error
    return f"# Written by the demo: waiting times of monitoring/thresholds.yml divided by {divisor}.\n{shortened}"


def _shorten_rule(rule: dict[str, Any], pane_seconds: int, divisor: int) -> None:
    if "window_seconds" in rule:
        rule["window_seconds"] = _window(rule["window_seconds"], pane_seconds, divisor)
    if "keep_firing_seconds" in rule:
        rule["keep_firing_seconds"] = rule["keep_firing_seconds"] / divisor
    for level in rule["levels"]:
        if "for_seconds" in level:
            level["for_seconds"] = level["for_seconds"] / divisor
        if rule.get("kind") == "absence":
            ratio = min(1.0, SILENCE_SECONDS / level["threshold"])
            level.update({name: level[name] * ratio for name in ("threshold", "clear") if name in level})


def _window(seconds: float, pane_seconds: int, divisor: int) -> int:
    least = 3 * pane_seconds if seconds > 2 * pane_seconds else pane_seconds
    return max(least, math.ceil(seconds / divisor / pane_seconds) * pane_seconds)
