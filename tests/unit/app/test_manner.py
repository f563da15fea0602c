"""How the alerts role speaks to Alertmanager, by its settings."""

from __future__ import annotations

from pathlib import Path

from streams.app.roles import _manner
from streams.publish.access import Access
from streams.settings import Settings


def test_files_of_the_settings_are_the_publishers() -> None:
    names = ("ca_file", "cert_file", "key_file", "user", "password_file", "token_file")
    settings = Settings(**{f"alertmanager_{name}": f"the {name}" for name in names})
    assert _manner(settings).access == Access(**{name: f"the {name}" for name in names})


def test_times_are_in_proportion_to_the_repetition() -> None:
    usual, quick = _manner(Settings()), _manner(Settings(alertmanager_resend_seconds=2.0))
    assert (usual.resend_seconds, usual.valid_seconds, usual.reconcile_seconds) == (60.0, 240.0, 15.0)
    assert usual.backoff_seconds == (0.5, 30.0)
    assert (quick.valid_seconds, quick.reconcile_seconds, quick.backoff_seconds) == (8.0, 0.5, (0.5, 1.0))


def test_it_is_what_the_publisher_accepts(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    access = _manner(Settings(alertmanager_token_file=str(token))).access
    assert access.auth() is not None
    assert access.context() is True
