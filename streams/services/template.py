"""Configuration files of ``monitoring/`` as the starting point of the embedded ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from streams.errors import ConfigurationError

MONITORING: Final = Path(__file__).parents[2] / "monitoring"
"""The repository's folder; a wheel does not hold it, so callers of an installed package pass their own files."""


def load(path: Path) -> dict[str, Any]:
    """A YAML mapping.

    Raises:
        ConfigurationError: the file is missing or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError:
        raise ConfigurationError(f"no configuration template {path}: give one, or run from the repository") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold a mapping")
    return content
