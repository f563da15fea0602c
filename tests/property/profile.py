"""How many examples a property gets, and whether they are the same ones each time.

Under continuous integration (``CI`` is set) the examples are a function of the test alone; elsewhere each run tries
others. How busy the machine is decides nothing.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("exploring"), derandomize=True)


def examples(count: int) -> settings:
    """The profile of this run with so many examples."""
    chosen = settings.get_profile("repeatable" if os.environ.get("CI") else "exploring")
    return settings(chosen, max_examples=count)


def seeded(count: int) -> settings:
    """The same without shrinking: a failure says its log's seed and cuts, and a simpler one would take minutes."""
    return settings(examples(count), phases=(Phase.explicit, Phase.reuse, Phase.generate))
