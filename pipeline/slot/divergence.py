"""Whether a job's loss fell as it should have.

In: the losses of some steps. Out: what is to be said of them, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.method import Scale
from pipeline.slot.checkpoint import Curve

# A loss may rise a little: nearest neighbors are sought anew, and steps overshoot.
_RISEN, _FAR_RISEN = 1.05, 2.0


def divergence(curve: Curve, scales: Sequence[Scale]) -> str | None:
    """What is wrong with the way of a total loss, or None.

    Losses compare within one size only. A size at which the loss ends above its beginning, or at
    more than twice its least, has diverged.

    >>> from pipeline.method import Scale
    >>> curve = [{"step": s, "total": t} for s, t in ((1, 2.0), (5, 1.0), (10, 4.0))]
    >>> divergence(curve, [Scale(64, 48, 1.0, 10, 1.0)])
    'the loss rose from 2 to 4 at 64 x 48 px (least 1): choose a smaller learning_rate'
    """
    begin = 0
    for scale in scales:
        totals = [p["total"] for p in curve if begin < p["step"] <= begin + scale.steps]
        begin += scale.steps
        if len(totals) < 2:
            continue
        first, least, last = totals[0], min(totals), totals[-1]
        if last > _RISEN * first or last > _FAR_RISEN * least:
            return (
                f"the loss rose from {first:.3g} to {last:.3g} at {scale.width} x {scale.height} "
                f"px (least {least:.3g}): choose a smaller learning_rate"
            )
    return None
