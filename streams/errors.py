"""Every exception of the pipeline.

::

    StreamsError
    ├── ConfigurationError      a setting or file is wrong; the message says which and what to write (exit code 2)
    ├── ServiceUnavailable      a neighbour (broker, Prometheus, Alertmanager) did not answer in time; retriable
    ├── DependencyMissing       a program or package this machine lacks; the message says how to get it
    ├── StateError              what the state topic holds cannot be used
    │   ├── StateDamaged        not whole, or made for other settings: some parts may begin anew
    │   ├── StateVersionError   written by a newer version: refuse, never guess
    │   └── StateEpochError     the log is no longer the one it was restored for: begin anew (exit 70)
    ├── PublishError            a sink refused what we sent
    │   ├── PublishRefused      it will refuse it again: not retriable
    │   └── PublishFailed       time-out, 5xx, connection: retriable
    └── Stalled                 the watchdog's verdict: exit 70, the supervisor restarts

``retriable`` is a property of the class: the one place that catches decides by it.
"""

from __future__ import annotations

from typing import ClassVar


class StreamsError(Exception):
    """Base of all."""

    retriable: ClassVar[bool] = False


class ConfigurationError(StreamsError):
    """A setting or file is wrong."""


class ServiceUnavailable(StreamsError):
    """A neighbour did not answer in time."""

    retriable: ClassVar[bool] = True


class DependencyMissing(StreamsError):
    """A program or package this machine lacks."""


class StateError(StreamsError):
    """What the state topic holds cannot be used."""


class StateDamaged(StateError):
    """Not whole, not what was written, or made for other settings: what can begin anew may do so."""


class StateVersionError(StateError):
    """State written by a newer version."""


class StateEpochError(StateError):
    """A topic was deleted and made again, cut or given more partitions under a running worker."""


class PublishError(StreamsError):
    """A sink refused what we sent."""


class PublishRefused(PublishError):
    """The sink will refuse it again."""


class PublishFailed(PublishError):
    """The sink could not take it now."""

    retriable: ClassVar[bool] = True


class Stalled(StreamsError):
    """Nothing moves although there is work."""
