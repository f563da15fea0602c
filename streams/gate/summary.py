"""A verdict for people: Markdown for a pull request or a job's page, and lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from streams.gate.verdict import GateResult, Verdict

_WORDS: Final = {"pass": "passed", "fail": "FAILED", "inconclusive": "undecided"}
EXIT_CODES: Final = {"pass": 0, "fail": 1, "inconclusive": 2}
"""Of `streams gate`: a wrong argument is undecided too."""
_MEANS: Final = {
    "pass": "It may go on.",
    "fail": "It must not go on.",
    "inconclusive": "Nothing is shown either way: wait for more data, and do not promote.",
}


def markdown(verdict: Verdict, service: str, version: str, baseline: str) -> str:
    """A table of all gates with their reasons."""
    lines = [
        f"### Gate `{code(verdict.profile)}`: {_WORDS[verdict.status]}",
        "",
        f"`{code(service)}` version `{code(version)}`"
        + (f", beside version `{code(baseline)}`" if baseline else ", no other version beside it")
        + f". {_MEANS[verdict.status]} Data: {_age(verdict)}.",
        "",
        "| gate | | blocks | why |",
        "|---|---|---|---|",
        *(_row(gate) for gate in verdict.gates),
    ]
    return "\n".join(lines) + "\n"


def lines(verdict: Verdict, service: str, version: str, baseline: str) -> Iterator[str]:
    """The same for a terminal."""
    beside = f" beside {baseline}" if baseline else ""
    yield f"{service} {version}{beside}: {_WORDS[verdict.status]} ({verdict.action}); data: {_age(verdict)}"
    for gate in verdict.gates:
        mark = "blocking" if gate.blocking else "advice"
        yield f"  {_WORDS[gate.status]:10} {mark:9} {gate.name}: {gate.reason}"


def as_json(verdict: Verdict, service: str, version: str, baseline: str) -> dict[str, Any]:
    """Everything, for another program."""
    return {
        "service": service,
        "version": version,
        "baseline": baseline,
        "profile": verdict.profile,
        "verdict": verdict.status,
        "recommended_action": verdict.action,
        "age_seconds": verdict.age_seconds,
        "gates": [gate.to_json() for gate in verdict.gates],
    }


def _row(gate: GateResult) -> str:
    return f"| {cell(gate.name)} | {_WORDS[gate.status]} | {'yes' if gate.blocking else 'no'} | {cell(gate.reason)} |"


def _age(verdict: Verdict) -> str:
    return "none" if verdict.age_seconds is None else f"{verdict.age_seconds:.0f} s old"


def code(text: str) -> str:
    """Text that may stand between backticks."""
    return text.replace("`", "'")


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
