"""The optimizers by name. A new one is a file beside this one and a line in `OPTIMIZERS`.

In: a name of the settings. Out: an `Optimizer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.method.optimizers.adam import Adam
from pipeline.method.optimizers.lbfgs import LBFGS
from pipeline.method.optimizers.optimizer import Optimizer

# Root mean square of an L-BFGS step's changes, where pixels span 0 to 1.
_LONGEST = 0.05


@dataclass(frozen=True)
class OptimizerOptions:
    """What an optimizer is made by; each takes what it knows.

    Attributes:
        corrections: pairs of steps and gradients that L-BFGS keeps.
        clamp: pixels are kept within [0, 1], so no step need be longer than a part of that.
        adam_decay: of Adam's second moment.
    """

    corrections: int = 20
    clamp: bool = True
    adam_decay: float = 0.99


def _adam(options: OptimizerOptions) -> Optimizer:
    return Adam((0.9, options.adam_decay))


def _lbfgs(options: OptimizerOptions) -> Optimizer:
    return LBFGS(options.corrections, _LONGEST if options.clamp else math.inf)


OPTIMIZERS: dict[str, Callable[[OptimizerOptions], Optimizer]] = {"adam": _adam, "lbfgs": _lbfgs}


def make_optimizer(name: str, options: OptimizerOptions) -> Optimizer:
    """An optimizer by its name in the settings."""
    return OPTIMIZERS[name](options)
