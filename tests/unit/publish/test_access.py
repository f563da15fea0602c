"""Secrets from files: what is sent, what is refused, and that none is ever shown."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from streams.errors import ConfigurationError
from streams.publish.access import Access, FileAuth

SECRET = "hunter2-Ünïcode"
TOKEN = "abc.def-123"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(SECRET + "\n", encoding="utf-8")
    return path


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"  {TOKEN}\n")
    return path


def header(auth: httpx.Auth | None) -> str:
    assert auth is not None
    return next(auth.auth_flow(httpx.Request("GET", "http://a"))).headers["Authorization"]


def test_nothing_is_sent_where_nothing_is_set() -> None:
    assert Access().auth() is None
    assert Access().context() is True


def test_a_user_is_sent_as_httpx_sends_it(password: Path) -> None:
    auth = Access(user="us", password_file=str(password)).auth()
    assert header(auth) == header(httpx.BasicAuth("us", SECRET))


def test_a_token_is_read_anew_and_the_last_one_stays_while_its_file_is_away(token: Path) -> None:
    auth = Access(token_file=str(token)).auth()
    assert header(auth) == f"Bearer {TOKEN}"
    token.write_text("other")
    assert header(auth) == "Bearer other"
    for broken in ("", "two\nlines", "Ünïcode"):
        token.write_text(broken, encoding="utf-8")
        assert header(auth) == "Bearer other"
    token.unlink()
    assert header(auth) == "Bearer other"


def test_no_secret_is_shown(password: Path, token: Path) -> None:
    for access in (Access(user="us", password_file=str(password)), Access(token_file=str(token))):
        for thing in (access, access.auth()):
            assert SECRET not in repr(thing)
            assert TOKEN not in repr(thing)


@pytest.mark.parametrize("content", ["", "  \n", "Ünïcode", "two\nlines"])
def test_a_token_that_is_none_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        FileAuth(str(path))
    assert not content.strip() or content not in str(refused.value)


def test_halves_and_both_are_refused(password: Path, token: Path, tmp_path: Path) -> None:
    wrong = [
        Access(user="us"),
        Access(password_file=str(password)),
        Access(user="us", password_file=str(password), token_file=str(token)),
        Access(token_file=str(tmp_path / "missing")),
    ]
    for access in wrong:
        with pytest.raises(ConfigurationError):
            access.auth()


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_files_that_are_no_certificates_are_refused(name: str, token: Path, tmp_path: Path) -> None:
    for path in (token, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match=path.name):
            Access(**{name: str(path)}).context()


def test_a_context_of_our_own_still_checks_names(tmp_path: Path) -> None:
    paths = ssl.get_default_verify_paths()
    system = paths.cafile or "/etc/ssl/certs/ca-certificates.crt"
    context = Access(ca_file=system).context()
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
