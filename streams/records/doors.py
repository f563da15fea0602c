"""TLS of what we serve: the API and the workers' ``/metrics``, with certificates from files."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from streams.errors import ConfigurationError
from streams.settings import Settings, variable


class Door(NamedTuple):
    """How a server of ours speaks TLS.

    Attributes:
        cert_file, key_file: ours (PEM; "" = the key is in the file of the certificate).
        clients_file: who signs certificates of clients; "" = clients need none.
    """

    cert_file: str
    key_file: str
    clients_file: str

    def context(self, *, required: bool) -> ssl.SSLContext:
        """For a server; ``required``: a client without a certificate is not let in at all."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.clients_file or None)
        context.load_cert_chain(self.cert_file, self.key_file or None)
        if self.clients_file:
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context


def door_of(settings: Settings) -> Door | None:
    """As the settings say; None = plain text.

    Raises:
        ConfigurationError: a file cannot be used, or there are some without a certificate.
    """
    door = Door(settings.tls_cert_file, settings.tls_key_file, settings.tls_clients_file)
    if not door.cert_file:
        if any(door):
            raise ConfigurationError(f"{variable('tls_cert_file')} is missing beside the other files of TLS")
        return None
    try:
        door.context(required=True)
    except OSError as error:  # ssl.SSLError is one
        names = ", ".join(variable(name) for name in ("tls_cert_file", "tls_key_file", "tls_clients_file"))
        raise ConfigurationError(f"{names}: {error.strerror or error}: name PEM files") from None
    return door
