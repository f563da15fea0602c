"""The second check: what agents and others send is redacted again before anything is made of it."""

from __future__ import annotations

from agents_emitter.redaction import Redactor
from streams.publish.health import Health
from streams.settings import Settings


def redactor_of(settings: Settings, health: Health) -> Redactor:
    """As the settings say; what it finds is counted."""
    return Redactor(
        settings.redaction_allow,
        content=settings.capture_content == "on",
        found=lambda rule: health.redactions.labels(rule).inc(),
    )
