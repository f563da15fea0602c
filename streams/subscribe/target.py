"""Where webhooks may go: not to the machines around us, unless somebody said so."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from streams.errors import ConfigurationError

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to addresses, as text."""


class Target(NamedTuple):
    """A checked address: connect to ``address`` and to nothing that the name may mean later."""

    scheme: str
    host: str
    port: int
    address: str
    path: str

    @property
    def url(self) -> str:
        """With the address in place of the name."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{shown}:{self.port}{self.path}"


def target(url: str, resolve: Resolve, *, private: bool, allow: str = "--allow-private") -> Target:
    """Checks a URL and pins its address.

    Args:
        url: http or https; no user name in it.
        resolve: name lookup.
        private: whether addresses of private networks and this machine are allowed. Link-local ones (cloud metadata)
            and multicast never are.
        allow: what to write to allow them.

    Raises:
        ConfigurationError: says what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise ConfigurationError("the webhook's address is no URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise ConfigurationError("the webhook's address must be http(s)://host/..., without a user name")
    found = list(resolve(host, port))
    if not found:
        raise ConfigurationError(f"the webhook's host {host} has no address")
    for text in found:  # all of them: a name that also means a forbidden one is a trap
        _check(host, text, private, allow)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, found[0], path)


def _check(host: str, text: str, private: bool, allow: str) -> None:
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    never = inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner.is_reserved
    if never and not (inner.is_loopback and private):
        raise ConfigurationError(f"the webhook's host {host} is {text}: link-local and reserved addresses are refused")
    if not inner.is_global and not private:
        raise ConfigurationError(f"the webhook's host {host} is {text}, in a private network: allow that with {allow}")
