"""From a scorer's number to a probability: how often a series without any fault shows something at least as strange.

One fixed map per scorer, not one per series: recalibrating per series (conformal, extreme values) lost 6 to 15 points
of 100 in the measurements this design rests on.
"""

from __future__ import annotations

import math
from typing import Final

DECAY: Final = -math.log(10.0)
INTERCEPT: Final = 1.7
SLOPE: Final = 1.35
SMALLEST: Final = 1e-12
"""No probability is claimed to be less."""


def novelty_tail(strangeness: float) -> float:
    """P(a window passes the gate with at least this strangeness) for novelty memories.

    A straight line through the logarithm, fitted by ``tests/unit/detect/test_tail.py``'s seven kinds of series without
    faults (normal, log-normal, gamma, Poisson, autoregressive, seasonal, Student t with 3 degrees of freedom): 1e-2 at
    0.25, 1e-3 at 1, 3e-4 at 1.3 after a warm-up of 130 to 750 windows; about three times that in the 100 windows
    after a warm-up of only 30, a third of it beyond 750.
    """
    return max(SMALLEST, math.exp(DECAY * (INTERCEPT + SLOPE * strangeness)))


def normal_tail(deviations: float) -> float:
    """P(a normal variable is at least this many standard deviations from its mean)."""
    return max(SMALLEST, math.erfc(deviations / math.sqrt(2.0)))
