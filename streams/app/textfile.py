"""A file that a person named on the command line or in a setting."""

from __future__ import annotations

from pathlib import Path

from streams.errors import ConfigurationError


def text_of(path: Path) -> str:
    """Its text.

    Raises:
        ConfigurationError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text: {error.reason}") from error
