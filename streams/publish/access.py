"""How a peer is reached when it wants to know who we are: certificates, a user and password, or a token, from files.

Secrets are read from files only, and no message, ``repr`` or log line shows one.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx

from streams.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Access:
    """Paths, all optional ("" = none).

    Attributes:
        ca_file: certificates (PEM) that may have signed the peer's, instead of the system's.
        cert_file, key_file: ours, for a peer that asks for one.
        user, password_file: HTTP basic authentication.
        token_file: HTTP bearer token, instead of a user.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password_file: str = ""
    token_file: str = ""

    def context(self) -> ssl.SSLContext | bool:
        """What httpx calls ``verify``.

        Raises:
            ConfigurationError: a file cannot be read or is no certificate or key, or there is a key alone.
        """
        if self.key_file and not self.cert_file:
            raise ConfigurationError(f"{self.key_file}: a key without a certificate")
        if not self.ca_file and not self.cert_file:
            return True
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(f"certificates in {self.ca_file}: {_reason(error)}") from None
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file or None)
            except OSError as error:
                raise ConfigurationError(f"certificate and key in {self.cert_file}: {_reason(error)}") from None
        return context

    def auth(self) -> httpx.Auth | None:
        """Who we say we are.

        Raises:
            ConfigurationError: a file cannot be read or is empty, or user and token are both given, or half a user.
        """
        if bool(self.user) != bool(self.password_file):
            raise ConfigurationError("a user and a file with the password belong together")
        if self.user and self.token_file:
            raise ConfigurationError("either a user or a token, not both")
        if self.user:
            return FileAuth(self.password_file, self.user)
        return FileAuth(self.token_file) if self.token_file else None


class FileAuth(httpx.Auth):
    """The header ``Authorization``, from a file that is read again for each request: secrets are changed while we run.

    A file that cannot be read meanwhile (it is being replaced) leaves the last secret in use.
    """

    def __init__(self, path: str, user: str = "") -> None:
        """With a user, the file holds the password; without, a bearer token. White space around it does not count.

        Raises:
            ConfigurationError: the file cannot be read or is empty.
        """
        self._path, self._user = Path(path), user
        self._header = ""
        self._read()
        if not self._header:
            raise ConfigurationError(f"{path}: cannot be read as a secret in ASCII, or is empty")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header."""
        self._read()
        request.headers["Authorization"] = self._header
        yield request

    def _read(self) -> None:
        try:
            secret = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return
        if secret and self._user:
            basic = httpx.BasicAuth(self._user, secret)
            self._header = next(basic.auth_flow(httpx.Request("GET", "http://nobody"))).headers["Authorization"]
        elif secret.isascii() and secret.isprintable() and secret:
            self._header = f"Bearer {secret}"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
